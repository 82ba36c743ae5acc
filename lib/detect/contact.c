/* Where somebody can be reached on a network: mail addresses, web addresses that carry an identifier, IP addresses. */
#include "detect/detect_priv.h"

#include <arpa/inet.h>

static bool is_local(uint8_t c)
{
    return sp_ascii_is_alnum(c) || strchr("._%+-'", c) != NULL;
}

static bool is_domain(uint8_t c)
{
    return sp_ascii_is_alnum(c) || c == '-' || c == '.';
}

/* Mailboxes of offices, not of people. */
static bool is_role_box(struct sp_bytes local)
{
    static const char boxes[] =
        " info support help helpdesk billing contact office admin sales careers jobs hr "
        "press media noreply no-reply donotreply frontdesk appointments scheduling "
        "referrals records privacy compliance events newsletter marketing pharmacy "
        "clinic registration service webmaster postmaster hello team enquiries "
        "inquiries claims foundation ";

    return sp_detect_is_listed(local, boxes);
}

size_t sp_detect_email(struct detect_window *w, size_t at)
{
    size_t start = at, end = at + 1, dot = 0;
    struct detect_entity *e;

    while (start > 0 && at - start < 64 && w->text[start - 1] != 0 && is_local(w->text[start - 1]))
        start--;
    while (start < at && !sp_ascii_is_alnum(w->text[start]))
        start++;
    while (end < w->limit && end - at < 255 && is_domain(w->text[end])) {
        if (w->text[end] == '.')
            dot = end;
        end++;
    }
    while (end > at + 1 && !sp_ascii_is_alnum(w->text[end - 1])) {
        end--;
        if (end == dot) /* the stop of a sentence */
            for (dot = end - 1; dot > at && w->text[dot] != '.';)
                dot--;
    }
    if (start == at || dot <= at + 1 || end - dot < 3 || !sp_ascii_is_alpha(w->text[end - 1]))
        return 0;
    while (w->entity_count > 0 && w->entities[w->entity_count - 1].start >= start)
        w->entity_count--; /* what its parts were taken for */
    e = sp_detect_entity_add(w, SP_DETECT_EMAIL, start, end, 80);
    if (is_role_box(sp_bytes(w->text + start, at - start)))
        e->flags |= ENT_ORG;
    return end;
}

/* Names of parameters that carry somebody's number. */
static bool has_identifier(struct sp_bytes query)
{
    static const char *const names[] = {
        "mrn=",     "patient", "member", "ssn=",   "dob=",  "name=", "pid=",  "token=", "acct=",
        "account=", "claim",   "id=",    "email=", "user=", "uid=",  "chart", "phone=", "record"};
    size_t digits = 0;
    bool named = false;

    for (size_t i = 0; i < query.len; i++)
        digits += sp_ascii_is_digit(query.ptr[i]);
    for (size_t i = 0; digits >= 4 && i < query.len && !named; i++) {
        for (size_t k = 0; !named && k < SP_ARRAY_LEN(names); k++)
            named =
                sp_bytes_starts_nocase(sp_bytes_slice(query, i, SIZE_MAX), sp_bytes_cstr(names[k]));
    }
    return named;
}

size_t sp_detect_url(struct detect_window *w, size_t at)
{
    struct sp_bytes rest = sp_bytes(w->text + at, w->limit - at);
    size_t end = 0;
    bool id;

    if (!sp_bytes_starts_nocase(rest, SP_LIT("http://")) &&
        !sp_bytes_starts_nocase(rest, SP_LIT("https://")) &&
        !sp_bytes_starts_nocase(rest, SP_LIT("www.")))
        return 0;
    while (end < rest.len && end < 2000 && rest.ptr[end] > ' ' && rest.ptr[end] < 0x7f &&
           strchr("<>\"|", rest.ptr[end]) == NULL)
        end++;
    while (end > 0 && strchr(".,;:!?)]'", rest.ptr[end - 1]) != NULL)
        end--;
    id = has_identifier(sp_bytes_slice(rest, 8, end > 8 ? (end - 8 < 500 ? end - 8 : 500) : 0));
    sp_detect_entity_add(w, SP_DETECT_URL, at, at + end, id ? 75 : 30)->flags |=
        id ? ENT_LABELLED : ENT_ORG;
    return at + end;
}

static size_t ip4_len(struct sp_bytes text)
{
    size_t at = 0;

    for (unsigned part = 0; part < 4; part++) {
        unsigned n = 0, digits = 0;

        if (part > 0 && (at >= text.len || text.ptr[at++] != '.'))
            return 0;
        while (at < text.len && digits < 3 && sp_ascii_is_digit(text.ptr[at])) {
            n = n * 10 + (unsigned)(text.ptr[at++] - '0');
            digits++;
        }
        if (digits == 0 || n > 255)
            return 0;
    }
    if (at < text.len &&
        (sp_ascii_is_alnum(text.ptr[at]) ||
         (text.ptr[at] == '.' && at + 1 < text.len && sp_ascii_is_digit(text.ptr[at + 1]))))
        return 0;
    return at;
}

/* A stop between two digits, as in the last 32 bits; any other is the sentence's, or leads the eye to a column. */
static bool is_inner_stop(struct sp_bytes text, size_t at)
{
    return text.ptr[at] == '.' && at > 0 && sp_ascii_is_digit(text.ptr[at - 1]) &&
           at + 1 < text.len && sp_ascii_is_digit(text.ptr[at + 1]);
}

/* Groups of hexadecimal digits as RFC 4291 2.2 writes them; not eight pairs, which are another machine's number. */
static size_t ip6_len(struct sp_bytes text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    size_t n = 0, groups = 0, group = 0, longest = 0;

    while (n < text.len && n < sizeof(copy) &&
           (text.ptr[n] == ':' || is_inner_stop(text, n) || sp_ascii_is_digit(text.ptr[n]) ||
            (sp_ascii_lower(text.ptr[n]) >= 'a' && sp_ascii_lower(text.ptr[n]) <= 'f'))) {
        group = text.ptr[n] == ':' ? 0 : group + 1;
        groups += group == 1;
        longest = group > longest ? group : longest;
        n++;
    }
    if (n == sizeof(copy) ||
        (n < text.len && (sp_ascii_is_alnum(text.ptr[n]) || text.ptr[n] == '_')))
        return 0; /* no longer run is walked: each of its parts may begin one */
    while (n > 1 && text.ptr[n - 1] == ':' && text.ptr[n - 2] != ':')
        n--; /* the sentence's */
    if (groups < 3 || longest < 3)
        return 0;
    memcpy(copy, text.ptr, n);
    copy[n] = '\0';
    return inet_pton(AF_INET6, copy, &ignored) == 1 ? n : 0;
}

size_t sp_detect_ip6(struct detect_window *w, size_t at)
{
    size_t n = 0;

    if (at == 0 || (w->text[at - 1] != ':' && !sp_ascii_is_alnum(w->text[at - 1])))
        n = ip6_len(sp_bytes(w->text + at, w->limit - at));
    if (n > 0)
        sp_detect_entity_add(w, SP_DETECT_IP, at, at + n, 60);
    return n > 0 ? at + n : 0;
}

size_t sp_detect_ip(struct detect_window *w, size_t at)
{
    size_t n = ip4_len(sp_bytes(w->text + at, w->limit - at));

    if (n < 7 || (at > 0 && (w->text[at - 1] == '.' || sp_ascii_is_alnum(w->text[at - 1]))))
        return 0;
    sp_detect_entity_add(w, SP_DETECT_IP, at, at + n, 60);
    return at + n;
}
