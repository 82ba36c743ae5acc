/*
 * Hyperscan's home: terms and patterns in one database, compiled at start (a few hundred terms take about
 * 0.1 s). It reports ends only; where a match begins and whether it is one is for find.c. Terms go in as escaped
 * literals; word borders are checked here, since "\b" would double the work of the automaton.
 */
#include "detect/detect_priv.h"

#define HITS_MAX (128 * 1024) /* in one window: two a byte at most make sense */

static const struct {
    const char *text;
    enum detect_mark mark;
} patterns[] = {
    {"[0-9]{3}[-. ][0-9]{2}[-. ][0-9]{4}", MARK_SSN},
    {"[0-9]{9}", MARK_NINE_DIGITS},
    {"[1-9][a-z][a-z0-9][0-9]-?[a-z][a-z0-9][0-9]-?[a-z]{2}[0-9]{2}", MARK_MBI},
    {"[12][0-9]{9}", MARK_NPI},
    {"[2-9][0-9]{2}\\)?[-. ]{0,2}[2-9][0-9]{2}[-. ][0-9]{4}", MARK_PHONE},
    {"[a-tv-z][0-9][0-9ab](\\.[0-9a-tv-z]{1,4})?", MARK_ICD10},
};

#define PATTERN_COUNT SP_ARRAY_LEN(patterns)

/* "alzheimer's" becomes "\x61\x6c..." : nothing in a term can be taken for an operator. */
static char *escape(const char *term)
{
    struct sp_buf b;

    sp_buf_init(&b, 1024);
    for (; *term != '\0'; term++)
        sp_buf_printf(&b, "\\x%02x", (unsigned)(uint8_t)*term);
    return sp_buf_take_cstr(&b);
}

static enum sp_rc compile(struct sp_detect *d, struct sp_err *err)
{
    size_t count = sp_detect_term_count + PATTERN_COUNT;
    char **texts = sp_calloc(count, sizeof(*texts));
    unsigned *ids = sp_calloc(count, sizeof(*ids));
    unsigned *flags = sp_calloc(count, sizeof(*flags));
    hs_compile_error_t *problem = NULL;
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < count; i++) {
        texts[i] = i < sp_detect_term_count ? escape(sp_detect_terms[i].text)
                                            : sp_strdup(patterns[i - sp_detect_term_count].text);
        ids[i] = (unsigned)i;
        flags[i] = HS_FLAG_CASELESS;
    }
    if (hs_compile_multi((const char *const *)texts, flags, ids, (unsigned)count, HS_MODE_BLOCK,
                         NULL, &d->db, &problem) != HS_SUCCESS) {
        rc = sp_fail(err, SP_E_SCAN_FAILED, "the patterns do not compile: %s",
                     problem == NULL ? "no reason given" : problem->message);
        hs_free_compile_error(problem);
    } else if (hs_alloc_scratch(d->db, &d->scratch) != HS_SUCCESS) {
        rc = sp_fail(err, SP_E_SCAN_FAILED, "no scratch space for the patterns");
    }
    for (size_t i = 0; i < count; i++)
        sp_free(texts[i]);
    sp_free(texts);
    sp_free(ids);
    sp_free(flags);
    return rc;
}

enum sp_rc sp_detect_new(struct sp_detect **out, struct sp_err *err)
{
    SP_AUTO(sp_detect) d = sp_calloc(1, sizeof(*d));
    enum sp_rc rc = hs_valid_platform() == HS_SUCCESS
                        ? compile(d, err)
                        : sp_fail(err, SP_E_SCAN_FAILED, "this processor lacks SSSE3");

    if (rc != SP_OK)
        return rc;
    d->hit_cap = 4096;
    d->hits = sp_calloc(d->hit_cap, sizeof(*d->hits));
    *out = SP_STEAL(d);
    return SP_OK;
}

void sp_detect_free(struct sp_detect *d)
{
    if (d == NULL)
        return;
    hs_free_scratch(d->scratch);
    hs_free_database(d->db);
    sp_free(d->hits);
    sp_free(d);
}

struct scan {
    struct sp_detect *d;
    const struct detect_window *w;
    size_t count;
};

static bool is_word(uint8_t c)
{
    return sp_ascii_is_alnum(c) || c >= 0x80;
}

/* A term counts as a whole word only. */
static bool is_whole(const struct detect_window *w, size_t start, size_t end)
{
    if (start > 0 && is_word(w->text[start]) && is_word(w->text[start - 1]))
        return false;
    return end >= w->len || !is_word(w->text[end - 1]) || !is_word(w->text[end]);
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *arg)
{
    struct scan *s = arg;
    struct sp_detect *d = s->d;
    bool term = id < sp_detect_term_count;

    (void)from;
    (void)flags;
    if (term && !is_whole(s->w, (size_t)to - strlen(sp_detect_terms[id].text), (size_t)to))
        return 0;
    if (s->count == HITS_MAX)
        return 1;
    if (s->count == d->hit_cap) {
        d->hit_cap *= 2;
        d->hits = sp_realloc(d->hits, d->hit_cap * sizeof(*d->hits));
    }
    d->hits[s->count++] = (struct detect_hit){
        .end = (uint32_t)to,
        .term = term ? (uint16_t)id : UINT16_MAX,
        .mark =
            (uint16_t)(term ? sp_detect_terms[id].mark : patterns[id - sp_detect_term_count].mark),
    };
    return 0;
}

bool sp_detect_scan(struct sp_detect *d, struct detect_window *w)
{
    struct scan s = {.d = d, .w = w};
    hs_error_t rc =
        hs_scan(d->db, (const char *)w->text, (unsigned)w->len, 0, d->scratch, on_match, &s);

    w->hits = d->hits;
    w->hit_count = s.count;
    return rc == HS_SUCCESS;
}
