/*
 * Groups of fields with an empty line between them: the first is about the message, each later one about a recipient
 * (RFC 3464 2.1.1). Programs that write them make mistakes: a group without any recipient or action is passed over, folded
 * lines are not needed for what is asked here, and a second field of a name counts no more than the first. There is no
 * guessing from words for people.
 */
#include "mail/dsn_read.h"

#include "mail/envelope.h"

static const struct {
    const char *word;
    enum sp_dsn_action action;
} actions[] = {
    {"failed", SP_DSN_FAILED},
    {"delayed", SP_DSN_DELAYED},
    {"delivered", SP_DSN_DELIVERED},
    {"relayed", SP_DSN_RELAYED},
};

/* What stands behind "rfc822;". */
static struct sp_bytes address_of(struct sp_bytes value)
{
    struct sp_bytes type;

    if (sp_bytes_find(value, ';') != SIZE_MAX)
        (void)sp_bytes_split(&value, ';', &type);
    value = sp_bytes_trim(value);
    if (value.len >= 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
        value = sp_bytes_slice(value, 1, value.len - 2);
    return value;
}

static void read_action(struct sp_bytes value, struct sp_dsn_said *s)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(actions); i++) {
        if (!sp_bytes_eq_nocase(value, sp_bytes_cstr(actions[i].word)))
            continue;
        s->has_action = true;
        s->action = actions[i].action;
    }
}

/* "smtp; 550 5.1.1 no such user" */
static void read_diagnostic(struct sp_bytes value, struct sp_dsn_said *s)
{
    struct sp_bytes type;
    uint64_t code;

    if (!sp_bytes_split(&value, ';', &type) ||
        !sp_bytes_eq_nocase(sp_bytes_trim(type), SP_LIT("smtp")))
        return;
    value = sp_bytes_trim(value);
    if (sp_bytes_to_u64(sp_bytes_slice(value, 0, 3), &code) && code >= 200 && code <= 599 &&
        (value.len == 3 || value.ptr[3] == ' ' || value.ptr[3] == '-'))
        s->reply_code = (int)code;
}

static void read_field(struct sp_bytes name, struct sp_bytes value, struct sp_dsn_said *s)
{
    struct sp_status status;
    struct sp_bytes rest;

    value = sp_bytes_trim(value);
    if (sp_bytes_eq_nocase(name, SP_LIT("Final-Recipient")) && s->final.len == 0)
        s->final = address_of(value);
    else if (sp_bytes_eq_nocase(name, SP_LIT("Original-Recipient")) && s->original.len == 0)
        s->original = address_of(value);
    else if (sp_bytes_eq_nocase(name, SP_LIT("Action")) && !s->has_action)
        read_action(value, s);
    else if (sp_bytes_eq_nocase(name, SP_LIT("Status")) && s->status.class == 0 &&
             sp_status_parse(value, &status, &rest))
        s->status = status;
    else if (sp_bytes_eq_nocase(name, SP_LIT("Diagnostic-Code")) && s->reply_code == 0)
        read_diagnostic(value, s);
}

static bool is_about_somebody(const struct sp_dsn_said *s)
{
    return s->has_action && (s->final.len > 0 || s->original.len > 0);
}

size_t sp_dsn_read(struct sp_bytes text, struct sp_dsn_said *out, size_t max)
{
    struct sp_dsn_said said = {.reply_code = 0};
    struct sp_bytes line;
    size_t count = 0;

    while (count < max && text.len > 0 && sp_bytes_split(&text, '\n', &line)) {
        size_t colon;

        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line = sp_bytes_slice(line, 0, line.len - 1);
        if (line.len == 0) {
            if (is_about_somebody(&said))
                out[count++] = said;
            said = (struct sp_dsn_said){.reply_code = 0};
            continue;
        }
        colon = sp_bytes_find(line, ':');
        if (line.ptr[0] != ' ' && line.ptr[0] != '\t' && colon != SIZE_MAX)
            read_field(sp_bytes_trim(sp_bytes_slice(line, 0, colon)),
                       sp_bytes_slice(line, colon + 1, line.len), &said);
    }
    if (count < max && is_about_somebody(&said))
        out[count++] = said;
    return count;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Compares with xtext undone (RFC 3461 4: "+2B" is a plus) as well as letter for letter. */
static bool is_same(struct sp_bytes said, struct sp_bytes address)
{
    size_t at = 0;

    if (sp_bytes_eq_nocase(said, address))
        return true;
    for (size_t i = 0; i < said.len; i++, at++) {
        uint8_t c = said.ptr[i];

        if (c == '+' && i + 2 < said.len && hex_digit(said.ptr[i + 1]) >= 0 &&
            hex_digit(said.ptr[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(said.ptr[i + 1]) * 16 + hex_digit(said.ptr[i + 2]));
            i += 2;
        }
        if (at >= address.len || sp_ascii_lower(c) != sp_ascii_lower(address.ptr[at]))
            return false;
    }
    return at == address.len;
}

/* An address that is not ASCII, in a report that is: \x{HEX} (RFC 6533 3). */
static bool is_same_utf8(struct sp_bytes said, struct sp_bytes address)
{
    struct sp_buf text;
    bool same;

    if (sp_bytes_find(said, '\\') == SIZE_MAX)
        return false;
    sp_buf_init(&text, SP_ORCPT_MAX);
    same = sp_orcpt_utf8_decode(said, &text) && sp_buf_rc(&text) == SP_OK &&
           sp_bytes_eq_nocase(sp_buf_bytes(&text), address);
    sp_buf_clear(&text);
    return same;
}

bool sp_dsn_said_is_about(const struct sp_dsn_said *s, struct sp_bytes address)
{
    return address.len > 0 &&
           (is_same(s->final, address) || is_same(s->original, address) ||
            is_same_utf8(s->final, address) || is_same_utf8(s->original, address));
}

bool sp_dsn_said_is_final(const struct sp_dsn_said *s, struct sp_bytes address)
{
    if (s->final.len == 0)
        return sp_dsn_said_is_about(s, address);
    return address.len > 0 && (is_same(s->final, address) || is_same_utf8(s->final, address));
}
