/*
 * Arguments. A table says what a command takes; what it does not name is refused, since an option that is left out in silence
 * makes a command do more than was meant. getopt_long() takes abbreviations, which a new option would make mean another.
 */
#include "gateway/cli/options.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option *find(const struct cli_option *options, size_t count,
                                     const char *word, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == len && strncmp(options[i].name, word, len) == 0)
            return &options[i];
    return NULL;
}

/* returns: that there is none, and the one that was meant as it seems; lent by a */
static const char *tell_unknown(struct cli_args *a, const struct cli_option *options, size_t count,
                                struct sp_bytes name)
{
    const char *nearest = NULL;
    unsigned best = 3;

    for (size_t i = 0; i < count; i++) {
        unsigned distance = sp_text_distance(sp_bytes_cstr(options[i].name), name, 2);

        if (distance < best && options[i].name[1] == '-') {
            best = distance;
            nearest = options[i].name;
        }
    }
    a->is_unknown = true;
    (void)snprintf(a->text, sizeof(a->text), "no option of this command%s%s%s",
                   nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
    return a->text;
}

/* returns: what is wrong with it, NULL: nothing */
static const char *keep(const struct cli_option *o, const char *value)
{
    if (o->values != NULL && o->values->count == o->values->max)
        return "given too often";
    if (o->values != NULL)
        o->values->items[o->values->count++] = value;
    else
        *o->value = value;
    return NULL;
}

/* One option with its value. returns: what is wrong with it, NULL: nothing */
static const char *take(struct cli_args *a, const struct cli_option *options, size_t count)
{
    const char *word = *a->argv;
    const char *sign = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    size_t len = sign == NULL ? strlen(word) : (size_t)(sign - word);
    const struct cli_option *o = find(options, count, word, len);

    a->argc--;
    a->argv++;
    if (o == NULL)
        return tell_unknown(a, options, count, sp_bytes(word, len));
    if (o->is_on != NULL && sign != NULL)
        return "it takes no value";
    if (o->is_on != NULL) {
        *o->is_on = true;
        return NULL;
    }
    if (sign != NULL)
        return keep(o, sign + 1);
    if (a->argc == 0)
        return "wants a value";
    a->argc--;
    return keep(o, *a->argv++);
}

const char *cli_next_word(struct cli_args *a, const struct cli_option *options, size_t count)
{
    while (a->argc > 0) {
        const char *word = *a->argv;

        if (word[0] != '-' || word[1] == 0) {
            a->argc--;
            a->argv++;
            return word;
        }
        a->why = take(a, options, count);
        if (a->why != NULL) {
            a->wrong = word;
            return NULL;
        }
    }
    return NULL;
}
