/*
 * Frames: the same bytes in one piece and in pieces of changing size must give the same messages,
 * controls and end; no message may exceed the limit. First byte: seed of the sizes.
 */
#include "fuzz.h"

#include "ngx_http_openim_frame.h"

enum { LIMIT = 600 };

struct trace {
    u_char *data;
    size_t len;
};

static void note(struct trace *t, const void *data, size_t len)
{
    if (len != 0) memcpy(t->data + t->len, data, len);
    t->len += len;
}

/* Writes opcode of what came, its payload, its end; sums up pieces */
static void run(const uint8_t *data, size_t size, uint8_t seed, struct trace *t)
{
    ngx_http_openim_frame_t f;
    size_t message = 0;
    int open = 0;

    ngx_http_openim_frame_init(&f, LIMIT);

    for (size_t at = 0; at < size;) {
        size_t n = size - at;
        if (seed != 0) {
            seed = (uint8_t)(seed * 29 + 1);
            if (n > seed % 23u + 1) n = seed % 23u + 1;
        }
        u_char *block = fuzz_dup(data + at, n), *pos = block;
        at += n;

        for (;;) {
            u_char *before = pos, byte;
            ngx_int_t rc = ngx_http_openim_frame_parse(&f, &pos, block + n);
            CHECK(pos >= before && pos <= block + n);
            if (rc == NGX_AGAIN) {
                CHECK(pos == block + n);
                break;
            }
            switch (rc) {
            case NGX_HTTP_OPENIM_FRAME_DATA:
                CHECK(f.start == !open);
                CHECK(f.message == NGX_HTTP_OPENIM_OP_TEXT || f.message == NGX_HTTP_OPENIM_OP_BINARY);
                CHECK(fuzz_within(f.data, block, n, NULL, 0));
                byte = (u_char)(0x10 + f.message);
                if (f.start) note(t, &byte, 1), message = 0;
                note(t, f.data.data, f.data.len);
                message += f.data.len;
                CHECK(message <= LIMIT);
                if (f.end) note(t, "!", 1);
                open = !f.end;
                continue;
            case NGX_HTTP_OPENIM_FRAME_PING:
            case NGX_HTTP_OPENIM_FRAME_PONG:
                CHECK(f.data.len <= NGX_HTTP_OPENIM_CONTROL_MAX);
                continue; /* controls may fall between other pieces */
            case NGX_HTTP_OPENIM_FRAME_CLOSE:
                note(t, "C", 1);
                break;
            default:
                CHECK(rc == NGX_ERROR && f.error != NULL);
                CHECK(f.code == NGX_HTTP_OPENIM_CLOSE_PROTOCOL || f.code == NGX_HTTP_OPENIM_CLOSE_TOO_BIG);
                note(t, "E", 1);
            }
            free(block);
            return;
        }
        free(block);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;

    struct trace a = {malloc(2 * size), 0}, b = {malloc(2 * size), 0};
    CHECK(a.data != NULL && b.data != NULL);
    run(data + 1, size - 1, 0, &a);
    run(data + 1, size - 1, data[0] | 1, &b);
    CHECK(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    free(a.data);
    free(b.data);
    return 0;
}
