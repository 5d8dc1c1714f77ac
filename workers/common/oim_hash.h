/* Digests that names and tables are made of. OpenSSL behind it. */
#ifndef OIM_HASH_H
#define OIM_HASH_H

#include <stddef.h>
#include <stdint.h>

/* First 16 bytes of SHA-256 over the parts joined by NUL (docs/records.md). */
void oim_hash_sha128(uint8_t out[16], const char *const *parts, int n);
void oim_hash_dedup(uint8_t out[16], const char *conversation_id, const char *send_id, const char *client_msg_id);
void oim_hash_hex(char *out, const uint8_t *in, size_t len); /* 2 * len + 1 bytes */
/* idHash of rest.md D.5 over ids in their given order. */
uint64_t oim_hash_ids(const char *const *ids, size_t n);
uint64_t oim_hash_md5_64(const void *data, size_t len); /* the first 8 bytes, big endian (rest.md D.6) */
void oim_hash_md5_hex(char out[33], const void *data, size_t len);

#endif
