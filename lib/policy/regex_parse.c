/*
 * A regular expression to postfix, in one pass with a stack of open groups and no recursion. Counted repetition copies
 * the tokens of its atom, which is why the start of the last atom is kept; the cap on tokens bounds what a{99}{99} can
 * grow to.
 */
#include "policy/regex_priv.h"

#define GROUPS_MAX 32
#define REPEAT_MAX 100

struct group {
    size_t alternatives;
    size_t atoms;
    size_t begin; /* first token */
};

struct parse {
    struct sp_bytes in;
    size_t at;
    bool nocase;
    struct sp_regex_tokens *out;
    struct group open[GROUPS_MAX];
    size_t depth;
    size_t alternatives; /* of the group we are in */
    size_t atoms;        /* of the alternative we are in, at most 2 */
    size_t atom;         /* first token of the last atom */
    const char *wrong;
};

static void emit(struct parse *p, enum sp_regex_op op, const struct sp_regex_class *class)
{
    static const struct sp_regex_class none;

    if (p->out->count == SP_REGEX_INSTS_MAX) {
        p->wrong = "the pattern is too large";
        return;
    }
    p->out->items[p->out->count].op = op;
    p->out->items[p->out->count++].class = class == NULL ? none : *class;
}

static void begin_atom(struct parse *p)
{
    if (p->atoms > 1) {
        p->atoms--;
        emit(p, SP_RX_CAT, NULL);
    }
    p->atom = p->out->count;
}

static void put_atom(struct parse *p, enum sp_regex_op op, const struct sp_regex_class *class)
{
    begin_atom(p);
    emit(p, op, class);
    p->atoms++;
}

/* Joins what stands open in the alternative to one operand. */
static void end_alternative(struct parse *p)
{
    if (p->atoms == 0)
        put_atom(p, SP_RX_EMPTY, NULL);
    while (--p->atoms > 0)
        emit(p, SP_RX_CAT, NULL);
}

static void set_add(struct sp_regex_class *c, unsigned from, unsigned to)
{
    for (unsigned b = from; b <= to && b < 256; b++)
        c->bits[b / 64] |= 1ULL << (b % 64);
}

static void set_invert(struct sp_regex_class *c)
{
    for (size_t i = 0; i < 4; i++)
        c->bits[i] = ~c->bits[i];
}

static bool set_has(const struct sp_regex_class *c, unsigned b)
{
    return (c->bits[b / 64] >> (b % 64) & 1) != 0;
}

static void set_fold(struct sp_regex_class *c)
{
    for (unsigned b = 'a'; b <= 'z'; b++) {
        if (set_has(c, b))
            set_add(c, b - 32, b - 32);
        else if (set_has(c, b - 32))
            set_add(c, b, b);
    }
}

static void set_named(struct sp_regex_class *c, uint8_t name)
{
    struct sp_regex_class named = {{0}};

    if (sp_ascii_lower(name) == 'd' || sp_ascii_lower(name) == 'w')
        set_add(&named, '0', '9');
    if (sp_ascii_lower(name) == 'w') {
        set_add(&named, 'a', 'z');
        set_add(&named, 'A', 'Z');
        set_add(&named, '_', '_');
    }
    if (sp_ascii_lower(name) == 's') {
        set_add(&named, '\t', '\r');
        set_add(&named, ' ', ' ');
    }
    if (name < 'a')
        set_invert(&named);
    for (size_t i = 0; i < 4; i++)
        c->bits[i] |= named.bits[i];
}

static int hex_digit(uint8_t c)
{
    if (sp_ascii_is_digit(c))
        return c - '0';
    c = sp_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind a backslash: adds to the class. returns: the byte, or -1 for a named set (or a fault) */
static int read_escape(struct parse *p, struct sp_regex_class *c)
{
    uint8_t e = p->at < p->in.len ? p->in.ptr[p->at++] : 0;
    int byte = e;

    if (e != 0 && strchr("dwsDWS", e) != NULL) {
        set_named(c, e);
        return -1;
    }
    if (e == 't')
        byte = '\t';
    else if (e == 'n')
        byte = '\n';
    else if (e == 'r')
        byte = '\r';
    else if (e == 'x' && p->at + 2 <= p->in.len && hex_digit(p->in.ptr[p->at]) >= 0 &&
             hex_digit(p->in.ptr[p->at + 1]) >= 0) {
        byte = hex_digit(p->in.ptr[p->at]) * 16 + hex_digit(p->in.ptr[p->at + 1]);
        p->at += 2;
    } else if (e == 0 || sp_ascii_is_alnum(e)) {
        p->wrong =
            "this escape is not known: \\d \\w \\s \\D \\W \\S \\t \\n \\r \\xHH and marks are";
        return -1;
    }
    set_add(c, (unsigned)byte, (unsigned)byte);
    return byte;
}

/* Behind one byte of a class: "-" and the last of a range, or nothing. */
static int read_range_end(struct parse *p, int from)
{
    int to;

    if (p->at + 1 >= p->in.len || p->in.ptr[p->at] != '-' || p->in.ptr[p->at + 1] == ']')
        return from;
    to = p->in.ptr[p->at + 1];
    p->at += 2;
    if (to == '\\' || to < from)
        p->wrong = "this range in a class is not understood";
    return to;
}

/* Behind [: up to and with ]. */
static void read_class(struct parse *p, struct sp_regex_class *c)
{
    bool invert = p->at < p->in.len && p->in.ptr[p->at] == '^';
    size_t first;

    p->at += invert;
    for (first = p->at; p->wrong == NULL;) {
        int from;

        if (p->at >= p->in.len) {
            p->wrong = "a [ has no ]";
            return;
        }
        from = p->in.ptr[p->at++];
        if (from == ']' && p->at - 1 > first)
            break;
        if (from >= 0x80) {
            p->wrong = "a class holds ASCII only";
            return;
        }
        if (from == '\\')
            from = read_escape(p, c);
        if (from < 0)
            continue;
        set_add(c, (unsigned)from, (unsigned)read_range_end(p, from));
    }
    if (p->nocase)
        set_fold(c);
    if (invert)
        set_invert(c);
}

static void open_group(struct parse *p)
{
    if (p->depth == GROUPS_MAX) {
        p->wrong = "groups are nested too deeply";
        return;
    }
    if (p->at < p->in.len && p->in.ptr[p->at] == '?') {
        if (p->at + 1 >= p->in.len || p->in.ptr[p->at + 1] != ':') {
            p->wrong = "of (?...) only (?:...) and a leading (?i) are known: no look-around";
            return;
        }
        p->at += 2;
    }
    begin_atom(p);
    p->open[p->depth++] = (struct group){p->alternatives, p->atoms, p->out->count};
    p->alternatives = p->atoms = 0;
}

static void end_group(struct parse *p)
{
    end_alternative(p);
    for (; p->alternatives > 0; p->alternatives--)
        emit(p, SP_RX_ALT, NULL);
}

static void close_group(struct parse *p)
{
    if (p->depth == 0) {
        p->wrong = "a ) has no (";
        return;
    }
    end_group(p);
    p->depth--;
    p->alternatives = p->open[p->depth].alternatives;
    p->atoms = p->open[p->depth].atoms + 1;
    p->atom = p->open[p->depth].begin;
}

/* Puts another copy of the atom's tokens behind, joined to what is there. */
static void repeat_atom(struct parse *p, size_t from, size_t len, enum sp_regex_op with)
{
    for (size_t i = 0; i < len && p->wrong == NULL; i++)
        emit(p, p->out->items[from + i].op, &p->out->items[from + i].class);
    if (with != SP_RX_EMPTY)
        emit(p, with, NULL);
    emit(p, SP_RX_CAT, NULL);
}

static bool read_number(struct parse *p, unsigned *out)
{
    size_t begin = p->at;

    *out = 0;
    while (p->at < p->in.len && sp_ascii_is_digit(p->in.ptr[p->at]) && *out <= REPEAT_MAX)
        *out = *out * 10 + (unsigned)(p->in.ptr[p->at++] - '0');
    return p->at > begin && *out <= REPEAT_MAX;
}

/* Behind {: m} or m,} or m,n} */
static void read_counts(struct parse *p)
{
    size_t from = p->atom, len = p->out->count - p->atom;
    unsigned least, most;
    bool open = false;

    if (!read_number(p, &least)) {
        p->wrong = "a { wants {m}, {m,} or {m,n} with numbers up to 100; write \\{ for the mark";
        return;
    }
    most = least;
    if (p->at < p->in.len && p->in.ptr[p->at] == ',') {
        p->at++;
        open = p->at < p->in.len && p->in.ptr[p->at] == '}';
        if (!open && !read_number(p, &most))
            most = 0;
    }
    if (p->at >= p->in.len || p->in.ptr[p->at++] != '}' || (!open && (most < least || most == 0))) {
        p->wrong = "a { wants {m}, {m,} or {m,n} with m not above n and n not 0";
        return;
    }
    /* m copies in all, then (n - m) optional ones, or one starred; the atom itself is the first */
    for (unsigned i = 1; i < least; i++)
        repeat_atom(p, from, len, SP_RX_EMPTY);
    if (open && least > 0)
        repeat_atom(p, from, len, SP_RX_STAR);
    else if (open)
        emit(p, SP_RX_STAR, NULL);
    else if (least == 0)
        emit(p, SP_RX_QUEST, NULL);
    for (unsigned i = least == 0 ? 1 : least; !open && i < most; i++)
        repeat_atom(p, from, len, SP_RX_QUEST);
}

static void read_repeat(struct parse *p, uint8_t c)
{
    if (p->atoms == 0)
        p->wrong = "nothing stands before * + ? or {";
    else if (c == '{')
        read_counts(p);
    else
        emit(p, c == '*' ? SP_RX_STAR : c == '+' ? SP_RX_PLUS : SP_RX_QUEST, NULL);
}

static void read_byte(struct parse *p, uint8_t c)
{
    struct sp_regex_class class = {{0}};

    if (c == '[') {
        read_class(p, &class);
    } else if (c == '.') {
        set_add(&class, '\n', '\n');
        set_invert(&class);
    } else if (c == '\\') {
        read_escape(p, &class);
    } else {
        set_add(&class, c, c);
    }
    if (p->nocase && c != '[')
        set_fold(&class);
    put_atom(p, SP_RX_BYTE, &class);
}

static void read_one(struct parse *p)
{
    uint8_t c = p->in.ptr[p->at++];

    switch (c) {
    case '(':
        open_group(p);
        break;
    case ')':
        close_group(p);
        break;
    case '|':
        end_alternative(p);
        p->alternatives++;
        break;
    case '*':
    case '+':
    case '?':
    case '{':
        read_repeat(p, c);
        break;
    case '^':
        put_atom(p, SP_RX_BEGIN, NULL);
        break;
    case '$':
        put_atom(p, SP_RX_END, NULL);
        break;
    default:
        read_byte(p, c);
        break;
    }
}

const char *sp_policy_regex_parse(struct sp_bytes pattern, struct sp_regex_tokens *out)
{
    struct parse p = {.in = pattern, .out = out};

    if (sp_bytes_eq(sp_bytes_slice(pattern, 0, 4), SP_LIT("(?i)"))) {
        p.nocase = true;
        p.at = 4;
    }
    out->count = 0;
    while (p.at < pattern.len && p.wrong == NULL)
        read_one(&p);
    if (p.wrong == NULL && p.depth > 0)
        p.wrong = "a ( has no )";
    if (p.wrong == NULL)
        end_group(&p);
    return p.wrong;
}
