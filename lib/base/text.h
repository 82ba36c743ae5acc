/*
 * Encodings of bytes as text, CRC-32C, and a writer for JSON text. thread: any
 */
#ifndef SP_BASE_TEXT_H
#define SP_BASE_TEXT_H

#include "base/buf.h"

/* Appends lower-case hexadecimal digits. */
void sp_hex_encode(struct sp_buf *out, struct sp_bytes in);
/* returns: false if odd in length or not hexadecimal */
SP_MUST_CHECK bool sp_hex_decode(struct sp_buf *out, struct sp_bytes in);

/* Appends base 64 with padding, in one line (RFC 4648 4). */
void sp_base64_encode(struct sp_buf *out, struct sp_bytes in);
/* Strict: whole quads, padding as due, no spaces. returns: false if not */
SP_MUST_CHECK bool sp_base64_decode(struct sp_buf *out, struct sp_bytes in);
/* The URL-safe alphabet without padding (RFC 4648 5). */
void sp_base64url_encode(struct sp_buf *out, struct sp_bytes in);
SP_MUST_CHECK bool sp_base64url_decode(struct sp_buf *out, struct sp_bytes in);

/* returns: CRC-32C (Castagnoli) of data, continuing from crc (0 to begin); uses SSE 4.2 where there is one */
uint32_t sp_crc32c(uint32_t crc, struct sp_bytes data);
/* returns: CRC-32C of two stretches that lie one behind the other, from that of each; under a microsecond */
uint32_t sp_crc32c_join(uint32_t before, uint32_t behind, uint32_t behind_len);

/* returns: length of the valid UTF-8 sequence that b (not empty) begins with (RFC 3629 4), or 0 */
size_t sp_utf8_step(struct sp_bytes b);

/* returns: whether b is valid UTF-8 (RFC 3629) */
bool sp_utf8_is_valid(struct sp_bytes b);

/* returns: whether b (not empty) can be the beginning of a character that is not whole yet */
bool sp_utf8_may_grow(struct sp_bytes b);

/* point: at most 0x10ffff, no surrogate. returns: how many bytes of out it took */
size_t sp_utf8_encode(uint32_t point, uint8_t out[4]);

/* returns: the code point that a byte stands for in windows-1252, U+FFFD for the five that stand for none */
uint32_t sp_windows1252_point(uint8_t c);

/* returns: the edit distance (insert, delete, replace, swap neighbours), or limit + 1 if more than limit */
unsigned sp_text_distance(struct sp_bytes a, struct sp_bytes b, unsigned limit);

/*
 * JSON text into a buffer, without building a tree. Keys and text are escaped (RFC 8259 7); bytes that are no UTF-8
 * become U+FFFD. Commas are set by the writer. key NULL inside arrays and at the top.
 *
 *     sp_jw_object(&w, NULL); sp_jw_text(&w, "event", SP_LIT("x")); sp_jw_end(&w);
 */
#define SP_JW_DEPTH_MAX 32
struct sp_jw {
    struct sp_buf *out;
    unsigned depth;
    bool is_array[SP_JW_DEPTH_MAX];
    bool has_item[SP_JW_DEPTH_MAX];
};
void sp_jw_init(struct sp_jw *w, struct sp_buf *out);
void sp_jw_object(struct sp_jw *w, const char *key);
void sp_jw_array(struct sp_jw *w, const char *key);
void sp_jw_end(struct sp_jw *w); /* ends the innermost object or array */
void sp_jw_text(struct sp_jw *w, const char *key, struct sp_bytes v);
void sp_jw_cstr(struct sp_jw *w, const char *key, const char *v); /* NULL writes null */
void sp_jw_int(struct sp_jw *w, const char *key, int64_t v);
void sp_jw_bool(struct sp_jw *w, const char *key, bool v);
void sp_jw_null(struct sp_jw *w, const char *key);
void sp_jw_id(struct sp_jw *w, const char *key,
              const uint8_t id[16]); /* an sp_id as its 26 characters */
/* Text that is JSON already and that we made ourselves. */
void sp_jw_raw(struct sp_jw *w, const char *key, struct sp_bytes json);

#endif
