/*
 * What texts in settings must look like. Only the shape is looked at: whether a file is there or a port is free is for
 * those who open it. Each check gives the sentence that says what would be right.
 */
#include <arpa/inet.h>

#include "base/clock.h"
#include "config/table.h"
#include "mail/idn.h"

static bool only(struct sp_bytes t, const char *marks)
{
    for (size_t i = 0; i < t.len; i++)
        if (!sp_ascii_is_alnum(t.ptr[i]) && strchr(marks, t.ptr[i]) == NULL)
            return false;
    return t.len > 0 && sp_bytes_find(t, 0) == SIZE_MAX;
}

static bool is_host(struct sp_bytes t)
{
    return only(t, "-.") && t.len <= 253 && t.ptr[0] != '.' && t.ptr[t.len - 1] != '.' &&
           t.ptr[0] != '-';
}

static bool is_domain(struct sp_bytes t)
{
    struct sp_buf ascii;
    bool ok;

    sp_buf_init(&ascii, SP_DOMAIN_MAX);
    ok = sp_domain_to_ascii(t, &ascii) == SP_OK && is_host(sp_buf_bytes(&ascii));
    sp_buf_clear(&ascii);
    return ok;
}

static bool is_ip(struct sp_bytes t, int *bits)
{
    char text[64];
    struct in6_addr a;

    if (t.len >= sizeof(text))
        return false;
    memcpy(text, t.ptr, t.len);
    text[t.len] = 0;
    *bits = 32;
    if (inet_pton(AF_INET, text, &a) == 1)
        return true;
    *bits = 128;
    return inet_pton(AF_INET6, text, &a) == 1;
}

static bool is_address(struct sp_bytes t)
{
    size_t colon = t.len;
    struct sp_bytes host;
    uint64_t port;
    int bits;

    while (colon > 0 && t.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !sp_bytes_to_u64(sp_bytes_slice(t, colon, SIZE_MAX), &port) || port > 65535)
        return false;
    host = sp_bytes_slice(t, 0, colon - 1);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return is_ip(sp_bytes_slice(host, 1, host.len - 2), &bits) && bits == 128;
    return is_host(host);
}

static bool is_cidr(struct sp_bytes t)
{
    size_t slash = sp_bytes_find(t, '/');
    uint64_t prefix = 0;
    int bits;

    if (slash != SIZE_MAX && !sp_bytes_to_u64(sp_bytes_slice(t, slash + 1, SIZE_MAX), &prefix))
        return false;
    return is_ip(sp_bytes_slice(t, 0, slash == SIZE_MAX ? t.len : slash), &bits) &&
           prefix <= (uint64_t)bits;
}

static bool is_mailbox(struct sp_bytes t)
{
    size_t at = sp_bytes_find(t, '@');

    return at != SIZE_MAX && at > 0 && at <= 64 && is_host(sp_bytes_slice(t, at + 1, SIZE_MAX)) &&
           only(sp_bytes_slice(t, 0, at), "!#$%&'*+-/=?^_`{|}~.");
}

static bool is_path(struct sp_bytes t)
{
    return t.len > 0 && t.len < 4096 && sp_bytes_find(t, 0) == SIZE_MAX &&
           sp_bytes_find(t, '\n') == SIZE_MAX;
}

static bool is_url(struct sp_bytes t)
{
    struct sp_bytes rest = sp_bytes_slice(t, 8, SIZE_MAX);

    return sp_bytes_starts_nocase(t, SP_LIT("https://")) && only(rest, "-.:/[]_~%") &&
           rest.ptr[0] != '/';
}

static bool is_line(struct sp_bytes t)
{
    return sp_bytes_find(t, '\n') == SIZE_MAX;
}

static bool is_login(struct sp_bytes t)
{
    const struct sp_bytes certificate = SP_LIT("certificate:");

    if (sp_bytes_starts_nocase(t, certificate))
        return is_host(sp_bytes_slice(t, certificate.len, t.len));
    if (sp_bytes_starts_nocase(t, SP_LIT("oauth:")))
        return t.len > 6 && t.len <= 6 + 255 && is_line(t);
    return sp_bytes_starts_nocase(t, SP_LIT("$argon2id$")) ||
           sp_bytes_starts_nocase(t, SP_LIT("SCRAM-SHA-256$"));
}

static bool is_sha256(struct sp_bytes t)
{
    for (size_t i = 0; i < t.len; i++) {
        uint8_t c = sp_ascii_lower(t.ptr[i]);

        if (!sp_ascii_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
    }
    return t.len == 64;
}

static bool is_name(struct sp_bytes t)
{
    return only(t, "-._") && t.len <= 64;
}

static bool is_uid(struct sp_bytes t)
{
    uint64_t n;

    return sp_bytes_to_u64(t, &n) && n > 0 && n < UINT32_MAX;
}

static bool is_group_uid(struct sp_bytes t)
{
    size_t at = sp_bytes_find(t, ':');

    return at != SIZE_MAX && at > 0 && is_name(sp_bytes_slice(t, 0, at)) &&
           is_uid(sp_bytes_slice(t, at + 1, t.len));
}

static bool is_group_mailbox(struct sp_bytes t)
{
    size_t at = sp_bytes_find(t, ':');

    return at != SIZE_MAX && at > 0 && is_name(sp_bytes_slice(t, 0, at)) &&
           is_mailbox(sp_bytes_slice(t, at + 1, t.len));
}

static bool is_date(struct sp_bytes t)
{
    struct sp_buf text;
    int64_t ms;
    bool ok;

    sp_buf_init(&text, 32);
    sp_buf_put(&text, sp_bytes_slice(t, 0, 11));
    sp_buf_put_cstr(&text, "T00:00:00Z");
    ok = t.len == 10 && sp_time_parse_rfc3339(sp_buf_bytes(&text), &ms);
    sp_buf_clear(&text);
    return ok;
}

const char *sp_config_form_check(enum sp_setting_form form, struct sp_bytes t)
{
    static const struct {
        bool (*holds)(struct sp_bytes t);
        const char *wanted;
    } forms[] = {
        [SP_FORM_ANY] = {is_line, "text of one line"},
        [SP_FORM_NAME] = {is_name, "letters, digits, - . _, at most 64"},
        [SP_FORM_HOST] = {is_host, "a host name, like gw1.example.org"},
        [SP_FORM_DOMAIN] = {is_domain, "a domain, like example.org"},
        [SP_FORM_ADDRESS] = {is_address, "host:port, like 127.0.0.1:2525 or [::1]:2525"},
        [SP_FORM_PATH] = {is_path, "the name of a file or folder"},
        [SP_FORM_URL] = {is_url, "a URL that begins with https://"},
        [SP_FORM_CIDR] = {is_cidr, "a network, like 192.0.2.0/24 or 2001:db8::/32"},
        [SP_FORM_MAILBOX] = {is_mailbox, "a mail address"},
        [SP_FORM_LOGIN] = {is_login, "a hash that begins with $argon2id$, SCRAM-SHA-256$..., "
                                     "certificate:NAME or oauth:VALUE"},
        [SP_FORM_UID] = {is_uid, "a user id above 0, as id -u prints it"},
        [SP_FORM_GROUP_UID] = {is_group_uid, "a group of the policy and a user id, like "
                                             "privacy-office:1001"},
        [SP_FORM_GROUP_MAILBOX] = {is_group_mailbox,
                                   "a group of the policy and a mail address, like "
                                   "privacy-office:privacy@example.org"},
        [SP_FORM_DATE] = {is_date, "a day, like 2026-12-06"},
        [SP_FORM_SHA256] = {is_sha256, "a SHA-256 of 64 hexadecimal digits"},
    };

    sp_assert((size_t)form < SP_ARRAY_LEN(forms));
    return forms[form].holds(t) ? NULL : forms[form].wanted;
}
