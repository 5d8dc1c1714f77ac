/* Numbers as Go's strconv writes them, for the two JSON writers. Implemented in oim_json_number.c. */
#ifndef OIM_JSON_NUMBER_H
#define OIM_JSON_NUMBER_H

#include "oim_buf.h"

#include <stdbool.h>

enum oim_json_float_bits { OIM_JSON_FLOAT32, OIM_JSON_FLOAT64 };

void oim_json_uint(struct oim_buf *buf, uint64_t v);
void oim_json_int(struct oim_buf *buf, int64_t v);

/* The fewest digits that read back as v. exponent: below 1e-6 and from 1e21 on as encoding/json does ("1e+21"); otherwise always plain
 * decimals, as the wrappers do. Not a number and infinity give null. */
void oim_json_float(struct oim_buf *buf, double v, enum oim_json_float_bits bits, bool exponent);

#endif
