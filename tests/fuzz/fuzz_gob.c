/*
 * Gob requests. What is read must lie in the input, read the same when more bytes follow, and come
 * back when written as a response and read again.
 */
#include "fuzz.h"

#include "ngx_http_openim_envelope.h"

static int same(ngx_str_t a, ngx_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_http_openim_envelope_req_t req, again;
    u_char *in = fuzz_dup(data, size);

    if (ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_GOB, in, size, NULL, &req) == NGX_OK) {
        CHECK(fuzz_within(req.send_id, in, size, NULL, 0));
        CHECK(fuzz_within(req.operation_id, in, size, NULL, 0));
        CHECK(fuzz_within(req.msg_incr, in, size, NULL, 0));
        CHECK(fuzz_within(req.data, in, size, NULL, 0));

        ngx_http_openim_envelope_resp_t resp = {
            .req = req.req, .err_code = -(int64_t)size, .msg_incr = req.msg_incr, .operation_id = req.operation_id, .err_msg = req.send_id, .data = req.data};
        size_t n = ngx_http_openim_envelope_size(NGX_HTTP_OPENIM_GOB, &resp);
        u_char *out = malloc(n);
        CHECK(out != NULL);
        CHECK(ngx_http_openim_envelope_encode(NGX_HTTP_OPENIM_GOB, out, &resp) == out + n);
        CHECK(ngx_http_openim_envelope_decode(NGX_HTTP_OPENIM_GOB, out, n, NULL, &again) == NGX_OK);
        CHECK(again.req == req.req && same(again.msg_incr, req.msg_incr) && same(again.operation_id, req.operation_id) && same(again.data, req.data));
        free(out);
    }

    free(in);
    return 0;
}
