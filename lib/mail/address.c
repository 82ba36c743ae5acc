/*
 * The Mailbox grammar of RFC 5321 4.1.2 with that of RFC 6531 3.3, strictly: what is accepted here is put into command lines of ours
 * later, so nothing but printable ASCII and UTF-8 without control characters passes, and a quoted local part must be closed where it should be. Two addresses that
 * look different stay different: no unquoting, no folding of the local part's case. Address lists of header fields
 * (RFC 5322 3.4) are walked with the same grammar for the mailbox itself; on doubt the walk fails and the caller
 * treats the field as unreadable.
 */
#include "mail/address.h"

#include "base/text.h"
#include "mail/domain.h"

/* returns: length of the UTF-8 character that is not ASCII at the start, 0 if there is none or it is a control (C1) or a separator of
 * lines, which terminals and mail programs may obey */
static size_t utf8_span(struct sp_bytes text)
{
    size_t n = text.len > 0 && text.ptr[0] >= 0x80 ? sp_utf8_step(text) : 0;

    if (n == 2 && text.ptr[0] == 0xc2 && text.ptr[1] < 0xa0)
        return 0;
    if (n == 3 && text.ptr[0] == 0xe2 && text.ptr[1] == 0x80 &&
        (text.ptr[2] == 0xa8 || text.ptr[2] == 0xa9))
        return 0;
    return n;
}

static bool is_atext(uint8_t c)
{
    return sp_ascii_is_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* returns: length of a dot-string at the start, 0 if there is none */
static size_t dot_string(struct sp_bytes text)
{
    size_t i = 0;

    while (i < text.len) {
        bool is_plain = is_atext(text.ptr[i]) || text.ptr[i] == '.';
        size_t step = is_plain ? 1 : utf8_span(sp_bytes_slice(text, i, text.len));

        if (step == 0)
            break;
        if (text.ptr[i] == '.' && (i == 0 || text.ptr[i - 1] == '.'))
            return 0;
        i += step;
    }
    return i > 0 && text.ptr[i - 1] == '.' ? 0 : i;
}

/* returns: length of a quoted string at the start with its quotes, 0 if there is none or it is malformed */
static size_t quoted_string(struct sp_bytes text)
{
    if (text.len < 2 || text.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '"')
            return i + 1;
        if (c == '\\' && ++i == text.len)
            return 0;
        if (c >= 0x80) {
            size_t step = utf8_span(sp_bytes_slice(text, i, text.len));

            if (step == 0)
                return 0;
            i += step - 1;
        } else if (text.ptr[i] < 32 || text.ptr[i] > 126) {
            return 0;
        }
    }
    return 0;
}

/* returns: length of a domain or literal at the start; checked by the caller */
static size_t domain_span(struct sp_bytes text)
{
    size_t i = 0;

    if (text.len > 0 && text.ptr[0] == '[') {
        size_t close = sp_bytes_find(text, ']');

        return close == SIZE_MAX ? 0 : close + 1;
    }
    while (i < text.len) {
        bool is_plain = sp_ascii_is_alnum(text.ptr[i]) || text.ptr[i] == '-' || text.ptr[i] == '.';
        size_t step = is_plain ? 1 : utf8_span(sp_bytes_slice(text, i, text.len));

        if (step == 0)
            break;
        i += step;
    }
    return i;
}

static bool is_ascii(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 0x80)
            return false;
    return true;
}

/* returns: whether a span of a domain is a name; what its U-labels are worth is mail/idn.h's to say */
static bool is_name(struct sp_bytes text)
{
    struct sp_bytes label;

    if (is_ascii(text))
        return sp_domain_is_valid(text);
    if (text.ptr[0] == '[') /* a span up to "]" may hold anything */
        return false;
    while (sp_bytes_split(&text, '.', &label))
        if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
    return true;
}

/* Reads a mailbox at the start of text. len: what it took. */
static enum sp_rc take_mailbox(struct sp_bytes text, struct sp_address *out, size_t *len)
{
    size_t local = text.len > 0 && text.ptr[0] == '"' ? quoted_string(text) : dot_string(text);
    struct sp_address a;
    struct sp_bytes rest;

    if (local == 0 || local >= text.len || text.ptr[local] != '@')
        return SP_E_ADDR_SYNTAX;
    rest = sp_bytes_slice(text, local + 1, text.len);
    a.local = sp_bytes_slice(text, 0, local);
    a.domain = sp_bytes_slice(rest, 0, domain_span(rest));
    if (a.local.len > SP_ADDRESS_LOCAL_MAX || a.domain.len > SP_DOMAIN_MAX ||
        local + 1 + a.domain.len > SP_ADDRESS_MAX)
        return SP_E_ADDR_LONG;
    if (!is_name(a.domain) && !sp_domain_is_literal(a.domain))
        return SP_E_ADDR_SYNTAX;
    *out = a;
    *len = local + 1 + a.domain.len;
    return SP_OK;
}

enum sp_rc sp_address_parse(struct sp_bytes text, struct sp_address *out)
{
    struct sp_address a;
    size_t len;
    enum sp_rc rc = take_mailbox(text, &a, &len);

    if (rc != SP_OK)
        return rc;
    if (len != text.len)
        return SP_E_ADDR_SYNTAX;
    *out = a;
    return SP_OK;
}

/* Skips "@one,@two:" (RFC 5321 appendix C: accepted and ignored). returns: its length, SIZE_MAX if malformed */
static size_t source_route(struct sp_bytes text)
{
    size_t i = 0;

    while (i < text.len && text.ptr[i] == '@') {
        struct sp_bytes rest = sp_bytes_slice(text, i + 1, text.len);
        size_t span = domain_span(rest);

        if (!is_name(sp_bytes_slice(rest, 0, span)))
            return SIZE_MAX;
        i += 1 + span;
        if (i == text.len)
            return SIZE_MAX;
        if (text.ptr[i] == ':')
            return i + 1;
        if (text.ptr[i++] != ',')
            return SIZE_MAX;
    }
    return i == 0 ? 0 : SIZE_MAX;
}

enum sp_rc sp_address_parse_path(struct sp_bytes text, struct sp_address *out,
                                 struct sp_bytes *rest)
{
    struct sp_address a = {{NULL, 0}, {NULL, 0}};
    size_t at, len = 0;
    enum sp_rc rc;

    if (text.len < 2 || text.ptr[0] != '<')
        return SP_E_ADDR_SYNTAX;
    text = sp_bytes_slice(text, 1, text.len);
    at = source_route(text);
    if (at == SIZE_MAX)
        return SP_E_ADDR_SYNTAX;
    text = sp_bytes_slice(text, at, text.len);
    if (at == 0 && sp_bytes_starts_nocase(text, SP_LIT("postmaster>"))) {
        a.local = sp_bytes_slice(text, 0, 10);
        len = 10;
    } else if (at != 0 || text.len == 0 || text.ptr[0] != '>') {
        rc = take_mailbox(text, &a, &len);
        if (rc != SP_OK)
            return rc;
    }
    if (len >= text.len || text.ptr[len] != '>')
        return SP_E_ADDR_SYNTAX;
    *out = a;
    *rest = sp_bytes_slice(text, len + 1, text.len);
    return SP_OK;
}

bool sp_address_is_null(const struct sp_address *a)
{
    return a->local.len == 0 && a->domain.len == 0;
}

bool sp_address_eq(const struct sp_address *a, const struct sp_address *b)
{
    return sp_bytes_eq(a->local, b->local) && sp_bytes_eq_nocase(a->domain, b->domain);
}

void sp_address_format(const struct sp_address *a, struct sp_buf *out)
{
    if (sp_address_is_null(a))
        return;
    sp_buf_put(out, a->local);
    if (a->domain.len > 0) {
        sp_buf_put_u8(out, '@');
        sp_domain_format(a->domain, out);
    }
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Skips a comment with its nested ones, by counting. returns: its length, 0 if it is not closed */
static size_t comment(struct sp_bytes text)
{
    unsigned depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '(') {
            depth++;
        } else if (text.ptr[i] == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* Skips spaces, folds and comments. returns: false if a comment is not closed */
static bool skip_cfws(struct sp_bytes *text)
{
    for (;;) {
        size_t len = 0;

        while (len < text->len && is_space(text->ptr[len]))
            len++;
        if (len == 0 && text->len > 0 && text->ptr[0] == '(') {
            len = comment(*text);
            if (len == 0)
                return false;
        }
        if (len == 0)
            return true;
        *text = sp_bytes_slice(*text, len, text->len);
    }
}

/* Takes the mailbox inside <...>; text is behind the "<". */
static bool take_angle(struct sp_bytes *text, struct sp_address *out)
{
    size_t at, len;

    if (!skip_cfws(text))
        return false;
    at = source_route(*text);
    if (at == SIZE_MAX)
        return false;
    *text = sp_bytes_slice(*text, at, text->len);
    if (take_mailbox(*text, out, &len) != SP_OK)
        return false;
    *text = sp_bytes_slice(*text, len, text->len);
    if (!skip_cfws(text) || text->len == 0 || text->ptr[0] != '>')
        return false;
    *text = sp_bytes_slice(*text, 1, text->len);
    return true;
}

/* returns: length of a word of a display name (an atom with dots or 8-bit bytes, or a quoted string); 0 if none */
static size_t display_word(struct sp_bytes text)
{
    size_t i = 0;

    if (text.len > 0 && text.ptr[0] == '"') {
        for (i = 1; i < text.len && text.ptr[i] != '"'; i++)
            i += text.ptr[i] == '\\';
        return i < text.len ? i + 1 : 0;
    }
    while (i < text.len && (is_atext(text.ptr[i]) || text.ptr[i] == '.' || text.ptr[i] >= 0x80))
        i++;
    return i;
}

enum step { STEP_FOUND, STEP_MORE, STEP_END, STEP_FAULT };

/* Handles what stands at the start of text, behind spaces and comments. */
static enum step list_step(struct sp_bytes *text, struct sp_address *out)
{
    size_t len;

    if (!skip_cfws(text))
        return STEP_FAULT;
    if (text->len == 0)
        return STEP_END;
    if (text->ptr[0] == ',' || text->ptr[0] == ';' || text->ptr[0] == ':') {
        *text = sp_bytes_slice(*text, 1, text->len);
        return STEP_MORE;
    }
    if (text->ptr[0] == '<') {
        *text = sp_bytes_slice(*text, 1, text->len);
        return take_angle(text, out) ? STEP_FOUND : STEP_FAULT;
    }
    if (take_mailbox(*text, out, &len) == SP_OK) {
        *text = sp_bytes_slice(*text, len, text->len);
        return STEP_FOUND;
    }
    len = display_word(*text);
    *text = sp_bytes_slice(*text, len, text->len);
    return len == 0 ? STEP_FAULT : STEP_MORE;
}

bool sp_address_list_next(struct sp_bytes *rest, struct sp_address *out, bool *failed)
{
    for (;;) {
        switch (list_step(rest, out)) {
        case STEP_FOUND:
            return true;
        case STEP_END:
            return false;
        case STEP_FAULT:
            *failed = true;
            *rest = sp_bytes_slice(*rest, rest->len, 0);
            return false;
        case STEP_MORE:
            break;
        }
    }
}
