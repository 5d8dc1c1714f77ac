/*
 * JSON envelopes and text pings. The scratch that the header promises must be enough; what we write
 * must be JSON to another parser, and read again be the same.
 */
#include "fuzz.h"

#include <jansson.h>

#include "ngx_http_openim_envelope.h"
#include "oim_wire.h"

static int same(ngx_str_t a, ngx_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void parses(const void *data, size_t len)
{
    json_t *parsed = json_loadb(data, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    CHECK(parsed != NULL);
    json_decref(parsed);
}

static void pings(const uint8_t *data, size_t size)
{
    u_char *in = fuzz_dup(data, size);
    ngx_str_t body;

    if (ngx_http_openim_text_parse(in, size, &body) == NGX_HTTP_OPENIM_TEXT_PING) {
        size_t n = ngx_http_openim_text_pong_size(&body);
        u_char *out = malloc(n);
        ngx_str_t again;
        CHECK(out != NULL);
        CHECK(ngx_http_openim_text_pong(out, &body) == out + n);
        CHECK(ngx_http_openim_text_parse(out, n, &again) == NGX_HTTP_OPENIM_TEXT_PONG);
        CHECK(same(again, body));
        free(out);
    }
    free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_http_openim_envelope_req_t req, again;
    u_char *in = fuzz_dup(data, size), *block;
    size_t room = ngx_http_openim_envelope_scratch(size);
    ngx_http_openim_mem_t mem = fuzz_scratch(&block, room);

    pings(data, size);

    if (ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_JSON, in, size, &mem, &req) == NGX_OK) {
        CHECK(fuzz_within(req.send_id, in, size, block, room));
        CHECK(fuzz_within(req.operation_id, in, size, block, room));
        CHECK(fuzz_within(req.msg_incr, in, size, block, room));
        CHECK(fuzz_within(req.data, in, size, block, room));
        CHECK(oim_wire_utf8(req.send_id.data, req.send_id.len));
        CHECK(oim_wire_utf8(req.operation_id.data, req.operation_id.len));

        ngx_http_openim_envelope_resp_t resp = {
            .req = req.req, .err_code = (int64_t)size, .msg_incr = req.msg_incr, .operation_id = req.operation_id, .err_msg = req.send_id, .data = req.data};
        size_t n = ngx_http_openim_envelope_size(NGX_HTTP_OPENIM_JSON, &resp);
        u_char *out = malloc(n), *block2;
        CHECK(out != NULL);
        CHECK(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_JSON, out, &resp) == out + n);
        parses(out, n);

        ngx_http_openim_mem_t mem2 = fuzz_scratch(&block2, ngx_http_openim_envelope_scratch(n));
        CHECK(ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_JSON, out, n, &mem2, &again) == NGX_OK);
        CHECK(again.req == req.req && same(again.msg_incr, req.msg_incr) && same(again.operation_id, req.operation_id) && same(again.data, req.data));
        CHECK((again.data.data == NULL) == (req.data.data == NULL));
        free(block2);
        free(out);
    } else {
        CHECK(mem.pos <= mem.last);
    }

    free(block);
    free(in);
    return 0;
}
