/*
 * MTA-STS texts (RFC 8461 3.1, 3.2, 4.1). Both are foreign: everything is bounded, and what is not understood makes the
 * record or policy invalid rather than weaker.
 */
#include "transport/sts.h"

#include "base/text.h"
#include "crypt/hash.h"
#include "dns/dns.h"

#define MAX_AGE_DIGITS 10

const char *sp_sts_mode_name(enum sp_sts_mode mode)
{
    static const char *const names[] = {
        [SP_STS_MODE_NONE] = "none",
        [SP_STS_MODE_TESTING] = "testing",
        [SP_STS_MODE_ENFORCE] = "enforce",
    };

    return names[mode];
}

/* ---- the TXT record ---- */

static bool is_id(struct sp_bytes id)
{
    if (id.len == 0 || id.len > SP_STS_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!sp_ascii_is_alnum(id.ptr[i]))
            return false;
    return true;
}

/* Splits "name = value". returns: false if there is no "=" */
static bool split_field(struct sp_bytes field, struct sp_bytes *name, struct sp_bytes *value)
{
    size_t at = sp_bytes_find(field, '=');

    if (at == SIZE_MAX)
        return false;
    *name = sp_bytes_trim(sp_bytes_slice(field, 0, at));
    *value = sp_bytes_trim(sp_bytes_slice(field, at + 1, SIZE_MAX - at - 1));
    return true;
}

/* One record that is of our version. returns: whether it has an id, once */
static bool read_record(struct sp_bytes record, struct sp_bytes *id)
{
    struct sp_bytes rest = record;
    struct sp_bytes part;
    bool found = false;

    (void)sp_bytes_split(&rest, ';', &part); /* the version */
    while (sp_bytes_split(&rest, ';', &part)) {
        struct sp_bytes name;
        struct sp_bytes value;

        if (sp_bytes_trim(part).len == 0)
            continue;
        if (!split_field(part, &name, &value))
            return false;
        if (!sp_bytes_eq(name, SP_LIT("id")))
            continue; /* an extension */
        if (found || !is_id(value))
            return false;
        *id = value;
        found = true;
    }
    return found;
}

static bool is_ours(struct sp_bytes record)
{
    static const struct sp_bytes version = SP_LIT_INIT("v=STSv1");
    struct sp_bytes behind;

    if (!sp_bytes_eq(sp_bytes_slice(record, 0, version.len), version))
        return false;
    behind = sp_bytes_trim(sp_bytes_slice(record, version.len, SIZE_MAX - version.len));
    return behind.len > 0 && behind.ptr[0] == ';';
}

enum sp_rc sp_sts_txt_parse(const struct sp_bytes *txt, size_t count, struct sp_bytes *id)
{
    const struct sp_bytes *only = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!is_ours(txt[i]))
            continue;
        if (only != NULL)
            return SP_E_STS_NONE;
        only = &txt[i];
    }
    return only != NULL && read_record(*only, id) ? SP_OK : SP_E_STS_NONE;
}

/* ---- the policy ---- */

enum seen { SEEN_VERSION = 1, SEEN_MODE = 2, SEEN_MAX_AGE = 4 };

static bool read_mode(struct sp_bytes value, enum sp_sts_mode *out)
{
    for (int m = SP_STS_MODE_NONE; m <= SP_STS_MODE_ENFORCE; m++) {
        if (sp_bytes_eq(value, sp_bytes_cstr(sp_sts_mode_name((enum sp_sts_mode)m)))) {
            *out = (enum sp_sts_mode)m;
            return true;
        }
    }
    return false;
}

static bool read_max_age(struct sp_bytes value, int64_t *out)
{
    uint64_t age;

    if (value.len > MAX_AGE_DIGITS || !sp_bytes_to_u64(value, &age))
        return false;
    *out = age > SP_STS_AGE_MAX ? SP_STS_AGE_MAX : (int64_t)age;
    return true;
}

/* "mail.example.com" or "*.example.com" */
static bool is_pattern(struct sp_bytes p)
{
    size_t label = 0;

    if (p.len > 2 && p.ptr[0] == '*' && p.ptr[1] == '.')
        p = sp_bytes_slice(p, 2, p.len - 2);
    if (p.len == 0 || p.len > 253)
        return false;
    for (size_t i = 0; i < p.len; i++) {
        if (p.ptr[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!sp_ascii_is_alnum(p.ptr[i]) && p.ptr[i] != '-' && p.ptr[i] != '_') {
            return false;
        } else {
            label++;
        }
    }
    return label > 0;
}

static bool read_line(struct sp_bytes name, struct sp_bytes value, struct sp_sts_policy *p,
                      unsigned *seen)
{
    if (sp_bytes_eq(name, SP_LIT("mx"))) {
        if (p->mx_count == SP_STS_MX_MAX || !is_pattern(value))
            return false;
        p->mx[p->mx_count++] = value;
    } else if (sp_bytes_eq(name, SP_LIT("version")) && !(*seen & SEEN_VERSION)) {
        *seen |= SEEN_VERSION;
        return sp_bytes_eq(value, SP_LIT("STSv1"));
    } else if (sp_bytes_eq(name, SP_LIT("mode")) && !(*seen & SEEN_MODE)) {
        *seen |= SEEN_MODE;
        return read_mode(value, &p->mode);
    } else if (sp_bytes_eq(name, SP_LIT("max_age")) && !(*seen & SEEN_MAX_AGE)) {
        *seen |= SEEN_MAX_AGE;
        return read_max_age(value, &p->max_age_s);
    }
    return true; /* later ones of the same name, and extensions, do not count */
}

enum sp_rc sp_sts_policy_parse(struct sp_bytes text, struct sp_sts_policy *out)
{
    struct sp_sts_policy p = {.text = text};
    struct sp_bytes rest = text;
    struct sp_bytes line;
    unsigned seen = 0;

    /* a NUL or bytes that are no UTF-8 can't stand in evidence as they came */
    if (text.len > SP_STS_TEXT_MAX || !sp_utf8_is_valid(text) ||
        sp_bytes_find(text, '\0') != SIZE_MAX)
        return SP_E_STS_INVALID;
    while (sp_bytes_split(&rest, '\n', &line)) {
        size_t colon = sp_bytes_find(line, ':');

        if (sp_bytes_trim(line).len == 0)
            continue;
        if (colon == SIZE_MAX ||
            !read_line(sp_bytes_trim(sp_bytes_slice(line, 0, colon)),
                       sp_bytes_trim(sp_bytes_slice(line, colon + 1, line.len)), &p, &seen))
            return SP_E_STS_INVALID;
    }
    if (seen != (SEEN_VERSION | SEEN_MODE | SEEN_MAX_AGE))
        return SP_E_STS_INVALID;
    if (p.mode != SP_STS_MODE_NONE && p.mx_count == 0)
        return SP_E_STS_INVALID;
    *out = p;
    return SP_OK;
}

void sp_sts_mx_mark(struct sp_bytes pattern, uint8_t *out)
{
    uint8_t sum[SP_SHA256_LEN];
    uint8_t lower[SP_DNS_NAME_MAX] = {0};
    size_t len = pattern.len < sizeof(lower) ? pattern.len : sizeof(lower);

    for (size_t i = 0; i < len; i++)
        lower[i] = sp_ascii_lower(pattern.ptr[i]);
    sp_crypt_sha256(sp_bytes(lower, len), sum);
    memcpy(out, sum, SP_STS_MARK_LEN);
}

static bool mark_matches(const struct sp_sts_policy *p, struct sp_bytes host)
{
    uint8_t star[SP_DNS_NAME_MAX + 1] = {'*'};
    uint8_t marks[2][SP_STS_MARK_LEN];
    size_t dot = sp_bytes_find(host, '.');
    struct sp_bytes rest = sp_bytes_slice(host, dot, host.len);
    size_t count = 1;

    sp_sts_mx_mark(host, marks[0]);
    if (dot != SIZE_MAX && dot > 0 && rest.len < sizeof(star)) {
        memcpy(star + 1, rest.ptr, rest.len);
        sp_sts_mx_mark(sp_bytes(star, rest.len + 1), marks[count++]);
    }
    for (size_t i = 0; i < p->mx_count; i++)
        for (size_t k = 0; k < count; k++)
            if (sp_bytes_eq(p->mx[i], sp_bytes(marks[k], SP_STS_MARK_LEN)))
                return true;
    return false;
}

bool sp_sts_mx_matches(const struct sp_sts_policy *p, struct sp_bytes host)
{
    size_t dot = sp_bytes_find(host, '.');

    if (p->is_short)
        return mark_matches(p, host);
    for (size_t i = 0; i < p->mx_count; i++) {
        struct sp_bytes pattern = p->mx[i];

        if (sp_bytes_eq_nocase(pattern, host))
            return true;
        /* the star stands for exactly one label (RFC 8461 4.1, RFC 6125 6.4.3) */
        if (pattern.ptr[0] == '*' && dot != SIZE_MAX && dot > 0 &&
            sp_bytes_eq_nocase(sp_bytes_slice(pattern, 1, pattern.len),
                               sp_bytes_slice(host, dot, host.len)))
            return true;
    }
    return false;
}
