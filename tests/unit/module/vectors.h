/*
 * The data files as the tests see them: gob-vectors.json (45 envelopes, 29 requests and 16
 * responses) and sdk-frames.json (14 frames of unmodified clients).
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "test.h"

#include <jansson.h>
#include <openssl/evp.h>

#include "ngx_http_openim_json.h"

static inline json_t *vectors_load(const char *path)
{
    json_error_t error;
    json_t *list = json_load_file(path, 0, &error);
    if (list == NULL) fail_msg("%s: %s", path, error.text);
    return list;
}

static inline const char *vector_text(json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s != NULL ? s : "";
}

static inline ngx_str_t vector_str(json_t *fields, const char *key)
{
    json_t *s = json_object_get(fields, key);
    return (ngx_str_t){json_string_length(s), (u_char *)(uintptr_t)vector_text(fields, key)};
}

static inline void sha256_hex(char out[65], const void *data, size_t len)
{
    u_char md[32];
    assert_int_equal(EVP_Digest(data, len, md, NULL, EVP_sha256(), NULL), 1);
    for (int i = 0; i < 32; i++) sprintf(out + 2 * i, "%02x", md[i]);
}

/* The payload of a vector; caller frees. */
static inline ngx_str_t vector_data(json_t *fields)
{
    json_t *len = json_object_get(fields, "data_len");
    ngx_str_t data;

    if (len != NULL) {
        char hex[65];
        data.len = (size_t)json_integer_value(len);
        data.data = malloc(data.len);
        assert_non_null(data.data);
        for (size_t i = 0; i < data.len; i++) data.data[i] = (u_char)i;
        sha256_hex(hex, data.data, data.len);
        assert_string_equal(hex, vector_text(fields, "data_sha256"));
        return data;
    }

    ngx_str_t text = vector_str(fields, "data_base64");
    u_char *room = malloc(ngx_http_openim_base64_size(text.len));
    assert_non_null(room);
    assert_int_equal(ngx_http_openim_base64_std(room, &data, text.data, text.len), NGX_OK);
    return data;
}

/* The envelope of a vector in a block of its exact size, checked against its digest; caller frees. */
static inline u_char *vector_gob(json_t *v, ngx_str_t data, size_t *len)
{
    char hex[65];
    u_char *gob;

    if (json_is_string(json_object_get(v, "gob_hex"))) {
        gob = unhex(vector_text(v, "gob_hex"), len);
    } else {
        size_t head_len, tail_len;
        u_char *head = unhex(vector_text(v, "gob_hex_prefix"), &head_len), *tail = unhex(vector_text(v, "gob_hex_suffix"), &tail_len);
        *len = (size_t)json_integer_value(json_object_get(v, "gob_len"));

        /* both dumps show some of the pattern, too */
        gob = malloc(*len);
        assert_non_null(gob);
        size_t at = head_len;
        while (at > 0 && memcmp(head + head_len - at, data.data, at < data.len ? at : data.len) != 0) at--;
        memcpy(gob, head, head_len);
        memcpy(gob + head_len - at, data.data, data.len);
        memcpy(gob + *len - tail_len, tail, tail_len);
        free(head);
        free(tail);
    }

    assert_int_equal(*len, json_integer_value(json_object_get(v, "gob_len")));
    sha256_hex(hex, gob, *len);
    assert_string_equal(hex, vector_text(v, "gob_sha256"));
    return gob;
}

#endif
