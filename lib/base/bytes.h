/*
 * Lent text and numbers: struct sp_bytes is a view of bytes that somebody else owns. It is not NUL-terminated and may
 * hold NUL. All functions here: thread: any; they allocate nothing and never fail but where said.
 */
#ifndef SP_BASE_BYTES_H
#define SP_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SP_MUST_CHECK        __attribute__((warn_unused_result))
#define SP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SP_ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))

struct sp_bytes {
    const uint8_t *ptr;
    size_t len;
};

/* A view of a string literal of ours, without its NUL. */
#define SP_LIT(s) ((struct sp_bytes){(const uint8_t *)("" s), sizeof(s) - 1})
/* The same, for static initialisers. */
#define SP_LIT_INIT(s)                                                                             \
    {                                                                                              \
        (const uint8_t *)("" s), sizeof(s) - 1                                                     \
    }
/* For printf: "%.*s", SP_FMT(bytes). For texts of ours only: foreign bytes go through encoders. */
#define SP_FMT(b) (int)(b).len, (const char *)(b).ptr

/* A view of len bytes at ptr. */
static inline struct sp_bytes sp_bytes(const void *ptr, size_t len)
{
    return (struct sp_bytes){(const uint8_t *)ptr, len};
}

/* A view of a NUL-terminated string (NULL gives the empty view). For strings of ours, never for foreign data. */
static inline struct sp_bytes sp_bytes_cstr(const char *s)
{
    return (struct sp_bytes){(const uint8_t *)s, s == NULL ? 0 : strlen(s)};
}

/* returns: the len bytes from offset from on, clipped to what is there. */
struct sp_bytes sp_bytes_slice(struct sp_bytes b, size_t from, size_t len);

/* returns: b without leading and trailing spaces, tabs, CR and LF. */
struct sp_bytes sp_bytes_trim(struct sp_bytes b);

/* returns: whether both hold the same bytes; not constant in time (see sp_crypt_equal for secrets) */
bool sp_bytes_eq(struct sp_bytes a, struct sp_bytes b);

/* returns: whether both are the same but for ASCII case */
bool sp_bytes_eq_nocase(struct sp_bytes a, struct sp_bytes b);

/* returns: less than, equal to or greater than 0, as memcmp with the shorter first */
int sp_bytes_cmp(struct sp_bytes a, struct sp_bytes b);

/* returns: whether b begins with (ends with) the other, ASCII case ignored */
bool sp_bytes_starts_nocase(struct sp_bytes b, struct sp_bytes prefix);
/* returns: whether part, which may be empty, stands somewhere in text; ASCII letters of either case are one */
bool sp_bytes_has_nocase(struct sp_bytes text, struct sp_bytes part);
bool sp_bytes_ends_nocase(struct sp_bytes b, struct sp_bytes suffix);

/* returns: offset of the first such byte (of the first such sequence), or SIZE_MAX */
size_t sp_bytes_find(struct sp_bytes b, uint8_t byte);
size_t sp_bytes_find_all(struct sp_bytes b, struct sp_bytes needle);

/*
 * Cuts off the part before the first separator.
 *
 * rest:    in: what is left to split; out: what follows the separator (empty view with NULL ptr at the end)
 * returns: false when nothing was left
 */
bool sp_bytes_split(struct sp_bytes *rest, uint8_t separator, struct sp_bytes *part);

/*
 * Reads a whole decimal number: digits only, no sign, no spaces.
 *
 * returns: false if b is empty, has other bytes, or the value does not fit
 */
SP_MUST_CHECK bool sp_bytes_to_u64(struct sp_bytes b, uint64_t *out);

/* ASCII only, whatever the locale. returns: the lower-case letter, or c itself */
static inline uint8_t sp_ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* The same: inline, since readers of text ask them for each byte. returns: whether it is such a byte */
static inline bool sp_ascii_is_alpha(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

static inline bool sp_ascii_is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static inline bool sp_ascii_is_alnum(uint8_t c)
{
    return sp_ascii_is_alpha(c) || sp_ascii_is_digit(c);
}

/* returns: a hash of the bytes that a peer can't steer (SipHash with the given 16-byte key) */
uint64_t sp_bytes_hash(struct sp_bytes b, const uint8_t key[16]);

/*
 * Arithmetic on foreign numbers.
 *
 * returns: false on overflow; *out is then untouched
 */
SP_MUST_CHECK bool sp_add_size(size_t a, size_t b, size_t *out);
SP_MUST_CHECK bool sp_mul_size(size_t a, size_t b, size_t *out);

#endif
