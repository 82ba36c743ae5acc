/*
 * detect-features < LINES: what scripts/train-detector learns from. One JSON object a line in, {"text"}; one line out for each:
 * the score that the rules give, which hints stand in it, the weight as it is, and the features of the text's first window, each as
 * HASH:VALUE:NAME[START-END]. With --parts the same of each part that is judged by itself and of each stretch round what rules
 * doubt, behind a " | ", with its kind (0 whole, 1 part, 2 part that ends within a paragraph, 3 stretch), start and end before the
 * features. Built on demand, and no part of what is installed.
 */
#include "detect/weigh_priv.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    unsigned value;
} features[] = {
#define SP_FEATURE(id, value) {#id, value},
    DETECT_FEATURES(SP_FEATURE)
#undef SP_FEATURE
};

struct tool {
    struct detect_scale *scale;
    bool told;   /* of this text */
    bool parts;  /* are told of, too */
    bool tokens; /* likewise */
};

static void print(void *arg, enum detect_feature feature, uint32_t hash, uint32_t start,
                  uint32_t end)
{
    (void)arg;
    printf(" %08x:%u:%s[%u-%u]", hash, features[feature].value, features[feature].name, start, end);
}

static void print_tokens(struct detect_scale *s, const struct detect_window *w,
                         struct detect_stretch at)
{
    size_t span = 0;

    s->span_count = 0;
    sp_detect_tokens(s, w, at.from, at.to);
    sp_detect_spans(s, w, at.from, at.to);
    for (size_t i = 1; i + 1 < s->token_count; i++) {
        const struct detect_token *k = &s->tokens[i];

        printf(" %08x.%u.%u", k->hash, sp_detect_token_form(w, k), sp_detect_kind_at(s, &span, k));
    }
}

static void piece(struct tool *t, const struct detect_judge *j, uint32_t score, unsigned kind,
                  struct detect_stretch at)
{
    if (t->told)
        printf(" | ");
    t->told = true;
    printf("%u %u %d", score, sp_detect_hints(j->w, at.from, at.to),
           sp_detect_weight_of(t->scale, j, at.from, at.to));
    if (t->parts)
        printf(" %u %zu %zu", kind, at.from, at.to);
    sp_detect_features(t->scale, j, at.from, at.to, print, t);
    if (t->tokens)
        print_tokens(t->scale, j->w, at);
}

static uint32_t watch(void *arg, const struct detect_judge *j, uint32_t score)
{
    struct tool *t = arg;
    size_t from = j->w->begin, most = from + DETECT_PIECE;
    struct detect_stretch round[DETECT_ROUND_MAX];

    if (t->told && !t->parts)
        return score;
    piece(t, j, score,
          j->line   ? 2
          : j->part ? 1
                    : 0,
          (struct detect_stretch){from, j->w->len < most ? j->w->len : most});
    if (!t->parts)
        return score;
    if (score >= DETECT_LIKELY && score < DETECT_SURE && j->w->len <= most &&
        j->doubt_count <= DETECT_DOUBTS_MAX)
        for (size_t i = 0; i < j->doubt_count; i++) {
            size_t count = sp_detect_round(j->w, j->doubts[i], round);

            for (size_t k = 0; k < count; k++)
                piece(t, j, score, 3, round[k]);
        }
    return score < DETECT_SURE ? 0 : score;
}

static void one(struct sp_detect *d, struct tool *t, char *line, size_t len, struct sp_arena *arena)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err err = {0};
    struct sp_detect_result result;
    const struct sp_json *text = NULL;

    if (sp_json_parse(sp_bytes(line, len), NULL, &doc, &err) == SP_OK)
        text = sp_json_find(sp_json_root(doc), "text");
    if (text == NULL || text->type != SP_JSON_TEXT) {
        fprintf(stderr, "detect-features: a line is no object with a text\n");
        exit(1);
    }
    t->told = false;
    sp_detect_text(d, text->text, NULL, arena, &result);
    putchar('\n');
    sp_arena_reset(arena);
}

int main(int argc, char **argv)
{
    SP_AUTO(sp_detect) d = NULL;
    struct sp_err err = {0};
    struct tool t = {0};
    struct sp_arena *arena = sp_arena_new(65536);
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    if (sp_detect_new(&d, &err) != SP_OK) {
        fprintf(stderr, "detect-features: %s\n", err.text);
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        t.parts |= strcmp(argv[i], "--parts") == 0;
        t.tokens |= strcmp(argv[i], "--tokens") == 0;
    }
    t.scale = d->scale = sp_detect_scale_new();
    d->scale->watch = watch;
    d->scale->watch_arg = &t;
    while ((len = getline(&line, &cap, stdin)) > 0)
        one(d, &t, line, (size_t)len, arena);
    free(line);
    sp_arena_free(arena);
    return 0;
}
