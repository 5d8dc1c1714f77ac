/*
 * The handshake query: the promised scratch is enough; an error makes a result object of JSON within
 * its bound.
 */
#include "fuzz.h"

#include <jansson.h>

#include "ngx_http_openim_args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char *in = fuzz_dup(data, size), *block, *result, *end;
    size_t room = ngx_http_openim_args_scratch(size);
    ngx_http_openim_mem_t mem = fuzz_scratch(&block, room);
    ngx_str_t query = {size, in}, header = ngx_string("gzip");
    ngx_http_openim_args_t args;
    ngx_http_openim_error_t err;

    ngx_int_t rc = ngx_http_openim_args_parse(&args, &query, &header, &mem, &err);
    CHECK(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        CHECK(args.send_id.len != 0 && args.token.len != 0 && args.operation_id.len != 0);
        CHECK(args.platform_id >= 1 && args.platform_id <= NGX_HTTP_OPENIM_PLATFORM_ARG);
        CHECK(fuzz_within(args.send_id, block, room, NULL, 0));
        CHECK(fuzz_within(args.token, block, room, NULL, 0));
        err.code = 1502; /* a text with what came from outside */
        err.msg = args.token;
        err.dlt = args.send_id;
    }

    result = malloc(NGX_HTTP_OPENIM_RESULT_MAX);
    CHECK(result != NULL);
    end = ngx_http_openim_result(result, &err);
    CHECK(end <= result + NGX_HTTP_OPENIM_RESULT_MAX);
    json_t *parsed = json_loadb((char *)result, (size_t)(end - result), JSON_ALLOW_NUL, NULL);
    CHECK(parsed != NULL && json_object_size(parsed) == 3);
    json_decref(parsed);

    free(result);
    free(block);
    free(in);
    return 0;
}
