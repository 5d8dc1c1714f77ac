/* What a descriptor says about JSON beyond its types (proto/README.md): maps and wrappers. Shared by the two transcoders. */
#ifndef OIM_JSON_DESC_H
#define OIM_JSON_DESC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <string.h>

static inline bool oim_json_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && memcmp(s + n - m, end, m) == 0;
}

/* A scalar that may be absent: one field, number 1. */
static inline bool oim_json_is_wrapper(const ProtobufCMessageDescriptor *d)
{
    return d->n_fields == 1 && strcmp(d->package_name, "openim.protobuf") == 0 && oim_json_ends_with(d->short_name, "Value");
}

/* Repeated entries {1: key, 2: value}. */
static inline bool oim_json_is_map(const ProtobufCFieldDescriptor *f)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;

    return f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_MESSAGE && d->n_fields == 2 &&
           oim_json_ends_with(d->name, "Entry");
}

#endif
