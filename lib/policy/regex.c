/*
 * Regular expressions by Thompson's construction: the pattern becomes a machine of at most 512 instructions, and a text
 * is matched by following all its states at once, one step a byte. There is nothing to backtrack, so the time is the
 * text's length times the pattern's, whatever a pattern's author or a sender thinks of. PCRE2 was turned down because its
 * guarantee is a limit on steps (then the answer is "unknown"), RE2 because it is C++.
 */
#include "policy/regex_priv.h"

#define WORDS   (2 * SP_REGEX_INSTS_MAX / 64)
#define INSTS   (2 * SP_REGEX_INSTS_MAX)
#define NOWHERE 0xffff

struct inst {
    enum sp_regex_op op;
    uint16_t x, y; /* next; y: of a split */
    struct sp_regex_class class;
};

struct sp_regex {
    struct inst *insts;
    size_t count;
    uint16_t start;
    struct sp_regex_class first; /* bytes that a match may begin with */
    bool may_be_empty;           /* a match may have no bytes: first says nothing */
};

/* A piece of the machine and its loose ends: a chain through the unset x (even) and y (odd) members. */
struct frag {
    uint16_t start;
    uint16_t ends;
};

struct build {
    struct inst insts[INSTS];
    size_t count;
    struct frag stack[SP_REGEX_INSTS_MAX + 1];
    size_t depth;
};

static uint16_t *end_of(struct build *b, uint16_t end)
{
    return end % 2 == 0 ? &b->insts[end / 2].x : &b->insts[end / 2].y;
}

static void patch(struct build *b, uint16_t ends, uint16_t to)
{
    while (ends != NOWHERE) {
        uint16_t *at = end_of(b, ends);

        ends = *at;
        *at = to;
    }
}

static uint16_t join(struct build *b, uint16_t first, uint16_t second)
{
    uint16_t at = first;

    if (first == NOWHERE)
        return second;
    while (*end_of(b, at) != NOWHERE)
        at = *end_of(b, at);
    *end_of(b, at) = second;
    return first;
}

static uint16_t put(struct build *b, enum sp_regex_op op, uint16_t x, uint16_t y)
{
    sp_assert(b->count < INSTS);
    b->insts[b->count] = (struct inst){.op = op, .x = x, .y = y};
    return (uint16_t)b->count++;
}

static void push(struct build *b, uint16_t start, uint16_t ends)
{
    b->stack[b->depth++] = (struct frag){start, ends};
}

static void add_repeat(struct build *b, enum sp_regex_op op)
{
    struct frag a = b->stack[--b->depth];
    uint16_t split = put(b, SP_RX_SPLIT, a.start, NOWHERE);
    uint16_t loose = (uint16_t)(split * 2 + 1);

    if (op == SP_RX_QUEST) {
        push(b, split, join(b, a.ends, loose));
        return;
    }
    patch(b, a.ends, split);
    push(b, op == SP_RX_PLUS ? a.start : split, loose);
}

static void add_token(struct build *b, const struct sp_regex_token *t)
{
    struct frag second;
    uint16_t at;

    switch (t->op) {
    case SP_RX_CAT:
        second = b->stack[--b->depth];
        patch(b, b->stack[b->depth - 1].ends, second.start);
        b->stack[b->depth - 1].ends = second.ends;
        break;
    case SP_RX_ALT:
        second = b->stack[--b->depth];
        at = put(b, SP_RX_SPLIT, b->stack[b->depth - 1].start, second.start);
        b->stack[b->depth - 1].start = at;
        b->stack[b->depth - 1].ends = join(b, b->stack[b->depth - 1].ends, second.ends);
        break;
    case SP_RX_STAR:
    case SP_RX_PLUS:
    case SP_RX_QUEST:
        add_repeat(b, t->op);
        break;
    default:
        at = put(b, t->op, NOWHERE, NOWHERE);
        b->insts[at].class = t->class;
        push(b, at, (uint16_t)(at * 2));
        break;
    }
}

/* The states that the machine is in at one place of the text. */
struct states {
    uint64_t seen[WORDS];
    uint16_t list[INSTS];
    size_t count;
};

/* Adds a state and all that it leads to without a byte. returns: whether that is a match */
static bool follow(const struct sp_regex *re, struct states *s, uint16_t start, bool at_begin,
                   bool at_end)
{
    uint16_t todo[INSTS + 1];
    size_t n = 0;

    todo[n++] = start;
    while (n > 0) {
        uint16_t at = todo[--n];
        const struct inst *i = &re->insts[at];

        if (s->seen[at / 64] >> (at % 64) & 1)
            continue;
        s->seen[at / 64] |= 1ULL << (at % 64);
        if (i->op == SP_RX_MATCH)
            return true;
        if (i->op == SP_RX_BYTE)
            s->list[s->count++] = at;
        else if ((i->op == SP_RX_BEGIN && !at_begin) || (i->op == SP_RX_END && !at_end))
            continue;
        else
            todo[n++] = i->x;
        if (i->op == SP_RX_SPLIT)
            todo[n++] = i->y;
    }
    return false;
}

/* Most texts hold no byte that a match could begin with: to see that costs less than to run the machine. */
static void find_first(struct sp_regex *re)
{
    struct states *s = sp_calloc(1, sizeof(*s));

    re->may_be_empty = follow(re, s, re->start, true, true);
    for (size_t k = 0; k < s->count; k++)
        for (size_t w = 0; w < SP_ARRAY_LEN(re->first.bits); w++)
            re->first.bits[w] |= re->insts[s->list[k]].class.bits[w];
    sp_free(s);
}

static bool may_match(const struct sp_regex *re, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (re->first.bits[text.ptr[i] / 64] >> (text.ptr[i] % 64) & 1)
            return true;
    return re->may_be_empty;
}

const char *sp_policy_regex_compile(struct sp_arena *arena, struct sp_bytes pattern,
                                    const struct sp_regex **out)
{
    struct sp_regex_tokens *tokens = sp_calloc(1, sizeof(*tokens));
    struct build *b = sp_calloc(1, sizeof(*b));
    const char *wrong = sp_policy_regex_parse(pattern, tokens);
    struct sp_regex *re;

    if (wrong == NULL) {
        for (size_t i = 0; i < tokens->count; i++)
            add_token(b, &tokens->items[i]);
        sp_assert(b->depth == 1);
        patch(b, b->stack[0].ends, put(b, SP_RX_MATCH, NOWHERE, NOWHERE));
        re = sp_arena_alloc(arena, sizeof(*re));
        re->insts = sp_arena_alloc(arena, b->count * sizeof(struct inst));
        memcpy(re->insts, b->insts, b->count * sizeof(struct inst));
        re->count = b->count;
        re->start = b->stack[0].start;
        find_first(re);
        *out = re;
    }
    sp_free(tokens);
    sp_free(b);
    return wrong;
}

bool sp_policy_regex_search(const struct sp_regex *re, struct sp_bytes text)
{
    struct states a, b;
    struct states *now = &a, *next = &b;

    if (!may_match(re, text))
        return false;
    memset(a.seen, 0, sizeof(a.seen));
    a.count = 0;

    for (size_t at = 0;; at++) {
        struct states *old = now;

        if (follow(re, now, re->start, at == 0, at == text.len))
            return true;
        if (at == text.len)
            return false;
        memset(next->seen, 0, sizeof(next->seen));
        next->count = 0;
        for (size_t k = 0; k < now->count; k++) {
            const struct inst *i = &re->insts[now->list[k]];
            uint8_t c = text.ptr[at];

            if ((i->class.bits[c / 64] >> (c % 64) & 1) &&
                follow(re, next, i->x, false, at + 1 == text.len))
                return true;
        }
        now = next;
        next = old;
    }
}

static bool is_empty(const struct sp_regex_class *class)
{
    return (class->bits[0] | class->bits[1] | class->bits[2] | class->bits[3]) == 0;
}

/* A place of the machine, as far as it matters which bytes led there. */
struct place {
    uint16_t at;
    bool moved; /* a byte has been read */
    bool ended; /* "$" has been passed */
};

/* A text that is found at some place is also found without what stands before it, so only its beginning is looked at. */
bool sp_policy_regex_may_match(const struct sp_regex *re)
{
    bool seen[INSTS][2][2] = {{{false}}};
    struct place ahead[INSTS * 4 * 2 + 1];
    size_t n = 0;

    ahead[n++] = (struct place){re->start, false, false};
    while (n > 0) {
        struct place p = ahead[--n];
        const struct inst *i = &re->insts[p.at];

        if (i->op == SP_RX_MATCH)
            return true;
        if (seen[p.at][p.moved][p.ended])
            continue;
        seen[p.at][p.moved][p.ended] = true;
        if ((i->op == SP_RX_BEGIN && p.moved) ||
            (i->op == SP_RX_BYTE && (p.ended || is_empty(&i->class))))
            continue;
        ahead[n++] =
            (struct place){i->x, p.moved || i->op == SP_RX_BYTE, p.ended || i->op == SP_RX_END};
        if (i->op == SP_RX_SPLIT)
            ahead[n++] = (struct place){i->y, p.moved, p.ended};
    }
    return false;
}

bool sp_policy_regex_takes_all(const struct sp_regex *re)
{
    struct states s = {.count = 0};

    return follow(re, &s, re->start, false, false);
}
