/*
 * The one serializer for header fields of our own. Injection is excluded at the only place where bytes become lines: a
 * value with CR, LF or NUL is refused whole, never repaired, since who sends one means harm. Lines are folded at 76
 * columns and, where a value has no spaces, refused at 998 (RFC 5322 2.1.1).
 */
#include "mail/compose.h"

#include "base/text.h"

#define FOLD_AT      76
#define LINE_MAX_LEN 998
/* Bytes of text in one encoded word: 45 encode to 60, and with =?utf-8?B??= stay under 75 (RFC 2047 2). */
#define WORD_LEN 45

void sp_compose_init(struct sp_compose *c, struct sp_buf *out)
{
    c->out = out;
    c->rc = SP_OK;
}

static void fault(struct sp_compose *c, enum sp_rc rc)
{
    if (c->rc == SP_OK)
        c->rc = rc;
}

static bool is_safe(struct sp_bytes v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] == '\r' || v.ptr[i] == '\n' || v.ptr[i] == 0)
            return false;
    }
    return true;
}

static bool is_printable_ascii(struct sp_bytes v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] != '\t' && (v.ptr[i] < 32 || v.ptr[i] > 126))
            return false;
    }
    return true;
}

/* Appends words with single spaces between, folding; column: where the line stands. */
static void put_folded(struct sp_compose *c, size_t column, struct sp_bytes v)
{
    struct sp_bytes word;
    bool first = true;

    while (sp_bytes_split(&v, ' ', &word)) {
        if (word.len == 0)
            continue;
        if (word.len > LINE_MAX_LEN - 1)
            fault(c, SP_E_LIMIT);
        if (!first && column + 1 + word.len > FOLD_AT) {
            sp_buf_put_cstr(c->out, "\r\n");
            column = 0;
        }
        sp_buf_put_u8(c->out, ' ');
        sp_buf_put(c->out, word);
        column += 1 + word.len;
        first = false;
    }
    sp_buf_put_cstr(c->out, "\r\n");
}

void sp_compose_field(struct sp_compose *c, const char *name, struct sp_bytes value)
{
    if (!is_safe(value) || !is_printable_ascii(value)) {
        fault(c, SP_E_SMTP_INJECTION);
        return;
    }
    sp_buf_put_cstr(c->out, name);
    sp_buf_put_u8(c->out, ':');
    put_folded(c, strlen(name) + 1, value);
}

void sp_compose_utf8_field(struct sp_compose *c, const char *name, struct sp_bytes value)
{
    if (!is_safe(value) || !sp_utf8_is_valid(value)) {
        fault(c, SP_E_SMTP_INJECTION);
        return;
    }
    sp_buf_put_cstr(c->out, name);
    sp_buf_put_u8(c->out, ':');
    put_folded(c, strlen(name) + 1, value);
}

/* returns: how many bytes of v make one encoded word, not cutting a UTF-8 sequence */
static size_t word_span(struct sp_bytes v)
{
    size_t n = v.len < WORD_LEN ? v.len : WORD_LEN;

    while (n > 0 && n < v.len && (v.ptr[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static void put_encoded_words(struct sp_compose *c, struct sp_bytes v)
{
    bool first = true;

    while (v.len > 0) {
        size_t n = word_span(v);

        sp_buf_put_cstr(c->out, first ? " =?utf-8?B?" : "\r\n =?utf-8?B?");
        sp_base64_encode(c->out, sp_bytes_slice(v, 0, n));
        sp_buf_put_cstr(c->out, "?=");
        v = sp_bytes_slice(v, n, v.len);
        first = false;
    }
}

void sp_compose_text_field(struct sp_compose *c, const char *name, struct sp_bytes value)
{
    if (!is_safe(value) || !sp_utf8_is_valid(value)) {
        fault(c, SP_E_SMTP_INJECTION);
        return;
    }
    /* "=?" in plain text would be read as an encoded word, so it is encoded itself */
    if (is_printable_ascii(value) && sp_bytes_find_all(value, SP_LIT("=?")) == SIZE_MAX) {
        sp_compose_field(c, name, value);
        return;
    }
    sp_buf_put_cstr(c->out, name);
    sp_buf_put_u8(c->out, ':');
    put_encoded_words(c, value);
    sp_buf_put_cstr(c->out, "\r\n");
}

static void put_quoted_name(struct sp_compose *c, struct sp_bytes display)
{
    sp_buf_put_cstr(c->out, " \"");
    for (size_t i = 0; i < display.len; i++) {
        if (display.ptr[i] == '"' || display.ptr[i] == '\\')
            sp_buf_put_u8(c->out, '\\');
        sp_buf_put_u8(c->out, display.ptr[i]);
    }
    sp_buf_put_cstr(c->out, "\"");
}

bool sp_compose_is_display(struct sp_bytes name)
{
    return is_safe(name) && sp_utf8_is_valid(name) && name.len <= SP_COMPOSE_DISPLAY_MAX;
}

void sp_compose_address(struct sp_compose *c, const char *name, struct sp_bytes display,
                        struct sp_bytes address)
{
    struct sp_address a;
    enum sp_rc rc = sp_address_parse(address, &a);

    if (rc != SP_OK) {
        fault(c, rc);
        return;
    }
    if (!sp_compose_is_display(display)) {
        fault(c, SP_E_SMTP_INJECTION);
        return;
    }
    sp_buf_put_cstr(c->out, name);
    sp_buf_put_u8(c->out, ':');
    if (display.len > 0) {
        if (is_printable_ascii(display))
            put_quoted_name(c, display);
        else
            put_encoded_words(c, display);
        sp_buf_put_cstr(c->out, "\r\n");
    }
    sp_buf_put_cstr(c->out, " <");
    sp_buf_put(c->out, address);
    sp_buf_put_cstr(c->out, ">\r\n");
}

void sp_compose_date(struct sp_compose *c, const char *name, int64_t wall_ms)
{
    char text[SP_TIME_TEXT_MAX];

    sp_time_format_rfc5322(wall_ms, text);
    sp_compose_field(c, name, sp_bytes_cstr(text));
}

void sp_compose_message_id(struct sp_compose *c, const struct sp_id *id, struct sp_bytes host)
{
    struct sp_buf value;
    char text[SP_ID_TEXT_LEN + 1];

    sp_buf_init(&value, 512);
    sp_id_format(id, text);
    sp_buf_put_u8(&value, '<');
    sp_buf_put_cstr(&value, text);
    sp_buf_put_u8(&value, '@');
    sp_buf_put(&value, host);
    sp_buf_put_u8(&value, '>');
    if (sp_buf_rc(&value) != SP_OK)
        fault(c, SP_E_LIMIT);
    else
        sp_compose_field(c, "Message-ID", sp_buf_bytes(&value));
    sp_buf_clear(&value);
}

void sp_compose_line(struct sp_compose *c, const char *line)
{
    if (!is_safe(sp_bytes_cstr(line))) {
        fault(c, SP_E_SMTP_INJECTION);
        return;
    }
    sp_buf_put_cstr(c->out, line);
    sp_buf_put_cstr(c->out, "\r\n");
}

/* One line of quoted-printable text, with soft breaks before column 76; trailing blanks are encoded (RFC 2045 6.7). */
static void put_quoted_line(struct sp_buf *out, struct sp_bytes line)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t column = 0;

    for (size_t i = 0; i < line.len; i++) {
        uint8_t c = line.ptr[i];
        bool blank = c == ' ' || c == '\t';
        bool plain = (c > 32 && c < 127 && c != '=' && !(c == '.' && column == 0)) ||
                     (blank && i + 1 < line.len);

        if (column + (plain ? 1 : 3) > 75) {
            sp_buf_put_cstr(out, "=\r\n");
            column = 0;
            plain = plain && c != '.';
        }
        if (plain) {
            sp_buf_put_u8(out, c);
            column += 1;
            continue;
        }
        sp_buf_put_u8(out, '=');
        sp_buf_put_u8(out, (uint8_t)digits[c >> 4]);
        sp_buf_put_u8(out, (uint8_t)digits[c & 15]);
        column += 3;
    }
    sp_buf_put_cstr(out, "\r\n");
}

void sp_compose_quoted(struct sp_compose *c, struct sp_bytes text)
{
    struct sp_bytes line;

    while (sp_bytes_split(&text, '\n', &line)) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        put_quoted_line(c->out, line);
    }
}

enum sp_rc sp_compose_end(const struct sp_compose *c)
{
    return c->rc != SP_OK ? c->rc : sp_buf_rc(c->out);
}

enum sp_rc sp_notice_build(const struct sp_notice *n, struct sp_buf *out)
{
    struct sp_compose c;

    sp_compose_init(&c, out);
    sp_compose_address(&c, "From", n->from_name, n->from);
    sp_compose_address(&c, "To", sp_bytes(NULL, 0), n->to);
    sp_compose_text_field(&c, "Subject", n->subject);
    sp_compose_date(&c, "Date", n->now_ms);
    sp_compose_message_id(&c, &n->id, n->host);
    sp_compose_line(&c, "Auto-Submitted: auto-generated");
    sp_compose_line(&c, "MIME-Version: 1.0");
    sp_compose_line(&c, "Content-Type: text/plain; charset=utf-8");
    sp_compose_line(&c, "Content-Transfer-Encoding: quoted-printable");
    sp_compose_line(&c, "");
    sp_compose_quoted(&c, n->text);
    return sp_compose_end(&c);
}
