/*
 * Numbers to text. Integers are the hot part of every answer, so they go without printf; floats appear in wrappers and free-form content
 * only. oim_json_number.h holds the contract.
 */
#include "oim_json_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void oim_json_uint(struct oim_buf *buf, uint64_t v)
{
    char text[20], *p = text + sizeof(text);

    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    oim_buf_append(buf, p, (size_t)(text + sizeof(text) - p));
}

void oim_json_int(struct oim_buf *buf, int64_t v)
{
    if (v < 0) oim_buf_putc(buf, '-');
    oim_json_uint(buf, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Digits without point and the decimal exponent of the first: 1234.5 -> "12345", 3. */
static int shortest(double v, enum oim_json_float_bits bits, char digits[24])
{
    char text[40];
    char *e, *out = digits;

    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, v);
        if (bits == OIM_JSON_FLOAT32 ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v) break;
    }
    e = strchr(text, 'e');
    for (char *p = text; p < e; p++) {
        if (*p != '.') *out++ = *p;
    }
    *out = '\0';
    return atoi(e + 1);
}

void oim_json_float(struct oim_buf *buf, double v, enum oim_json_float_bits bits, bool exponent)
{
    char digits[24];
    int e, n;

    if (!isfinite(v)) {
        oim_buf_puts(buf, "null");
        return;
    }
    if (signbit(v)) oim_buf_putc(buf, '-');
    v = fabs(v);
    e = shortest(v, bits, digits);
    n = (int)strlen(digits);
    if (exponent && v != 0 && (v < 1e-6 || v >= 1e21)) {
        oim_buf_putc(buf, digits[0]);
        if (n > 1) oim_buf_printf(buf, ".%s", digits + 1);
        oim_buf_printf(buf, "e%+d", e);
        return;
    }
    if (e < 0) oim_buf_puts(buf, "0.");
    for (int i = -1; i > e; i--) oim_buf_putc(buf, '0');
    for (int i = 0; i < n || i <= e; i++) {
        if (i && i == e + 1 && i < n) oim_buf_putc(buf, '.');
        oim_buf_putc(buf, i < n ? digits[i] : '0');
    }
}
