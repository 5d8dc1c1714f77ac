/*
 * Protobuf: the reader stays inside, what it read can be written and read again, a key always fits
 * the size that it says.
 */
#include "fuzz.h"

#include "oim_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char *in = fuzz_dup(data, size);
    struct oim_wire_reader r = {in, in + size};
    struct oim_wire_writer w = {0};
    struct oim_wire_field f;
    struct oim_wire_msg m;
    int rc;

    for (int pass = 0; pass < 2; pass++) { /* size, then write */
        r.pos = in;
        if (pass == 1) {
            w = (struct oim_wire_writer){.data = malloc(w.len != 0 ? w.len : 1), .cap = w.len};
            CHECK(w.data != NULL);
        }
        while ((rc = oim_wire_next(&r, &f)) == 1) {
            CHECK(f.number >= 1 && f.number < 1u << 29);
            if (f.type == 2) {
                ngx_str_t s = {f.len, (u_char *)(uintptr_t)f.data};
                CHECK(fuzz_within(s, in, size, NULL, 0));
                oim_wire_bytes(&w, f.number, f.data, f.len);
            } else {
                oim_wire_varint(&w, f.number, f.value);
            }
        }
        if (pass == 1) {
            struct oim_wire_reader again = {w.data, w.data + w.len};
            CHECK(!oim_wire_overflow(&w));
            while ((rc = oim_wire_next(&again, &f)) == 1) {}
            CHECK(rc == 0);
            free(w.data);
        }
    }

    if (oim_wire_peek_msg(in, size, &m) == 0) {
        size_t n = oim_wire_conversation_key(&m, NULL, 0);
        char *key = malloc(n != 0 ? n : 1), *other = malloc(n != 0 ? n : 1);
        CHECK(key != NULL && other != NULL);
        CHECK(oim_wire_conversation_key(&m, key, n) == n);
        CHECK(oim_wire_utf8(key, n));

        /* both ways of a conversation have one key */
        struct oim_wire_msg back = m;
        back.send_id = m.recv_id, back.send_len = m.recv_len;
        back.recv_id = m.send_id, back.recv_len = m.send_len;
        CHECK(oim_wire_conversation_key(&back, other, n) == n);
        CHECK(memcmp(key, other, n) == 0);
        free(key);
        free(other);
    }

    free(in);
    return 0;
}
