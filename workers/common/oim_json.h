/*
 * JSON <-> protobuf by descriptor: one transcoder serves every REST route. Semantics of Go's encoding/json over the
 * generated structs (rest.md A.4, A.6; proto-catalogue.md 2): keys match case-insensitively (exact first), unknown ignored, later
 * duplicates win, null = zero value, bytes = base64, 64-bit numbers are numbers, wrappers are bare scalars, maps omitted when empty,
 * empty lists null, unset messages null, all other fields always present. Depth and memory are bounded (oim_json_lex.h, our own scanner:
 * jansson refuses lone surrogates and integers above int64, which Go takes). jansson holds free-form documents only.
 */
#ifndef OIM_JSON_H
#define OIM_JSON_H

#include "oim_buf.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

struct oim_arena;

/* Parses body into a new message of desc, all memory from the arena. OIM_EPARSE: *why says what, in the parser's words. */
int oim_json_decode(struct oim_arena *a, const ProtobufCMessageDescriptor *desc, const uint8_t *body, size_t len,
                    ProtobufCMessage **out, const char **why);
int oim_json_decode_value(struct oim_arena *a, const ProtobufCMessageDescriptor *desc, json_t *value, ProtobufCMessage **out,
                          const char **why);

/* Appends msg as JSON in field order of the catalogue. */
void oim_json_encode(struct oim_buf *buf, const ProtobufCMessage *msg);

/* Appends a JSON string with Go's escapes, quotes included; invalid UTF-8 becomes \ufffd. */
void oim_json_string(struct oim_buf *buf, const char *s, size_t len);

/* Parses any JSON document as Go would: bounded depth (64), duplicates allowed, trailing garbage refused. Caller json_decref. */
int oim_json_parse(const uint8_t *body, size_t len, json_t **out, struct oim_arena *a, const char **why);
/* Appends any document as Go writes a map[string]any: keys sorted, numbers as float64, Go's escapes. */
void oim_json_encode_value(struct oim_buf *buf, const json_t *value);
/* Case-insensitive member, exact match first; NULL if absent. */
json_t *oim_json_get(json_t *object, const char *key);

/* The envelope (rest.md A.5): {"errCode":..,"errMsg":..,"errDlt":..[,"data":..]}; data NULL = omitted. */
void oim_json_envelope(struct oim_buf *buf, int code, const char *msg, const char *dlt, const ProtobufCMessage *data);

#endif
