/*
 * Every member of a decision in one fixed order, none left out where it has its usual value: a text that can be compared
 * says more than one that is short.
 */
#include "policy/record.h"

#include "policy/options.h"

static void write_names(struct sp_jw *w, const char *key, const struct sp_names *names)
{
    sp_jw_array(w, key);
    for (size_t i = 0; i < names->count; i++)
        sp_jw_cstr(w, NULL, names->names[i]);
    sp_jw_end(w);
}

static void write_ladder(struct sp_jw *w, const struct sp_ladder *ladder)
{
    if (ladder == NULL) {
        sp_jw_null(w, "ladder");
        return;
    }
    sp_jw_array(w, "ladder");
    for (size_t i = 0; i < ladder->count; i++) {
        sp_jw_array(w, NULL);
        sp_jw_cstr(w, NULL, sp_rung_name(ladder->rungs[i].rung));
        sp_jw_int(w, NULL, ladder->rungs[i].stay_unreachable_ms);
        sp_jw_int(w, NULL, ladder->rungs[i].stay_dropped_ms);
        sp_jw_end(w);
    }
    sp_jw_end(w);
    sp_jw_cstr(w, "at_end", sp_at_end_name(ladder->at_end));
}

static void write_hold(struct sp_jw *w, const struct sp_decision *d)
{
    if (d->verb != SP_DO_HOLD)
        return;
    sp_jw_object(w, "hold");
    sp_jw_cstr(w, "for", sp_hold_for_name(d->hold.kind));
    sp_jw_cstr(w, "by", d->hold.by);
    sp_jw_int(w, "within_ms", d->hold.within_ms);
    sp_jw_bool(w, "otherwise_protect", d->hold.otherwise_protect);
    sp_jw_end(w);
}

static void write_options(struct sp_jw *w, const struct sp_decision *d)
{
    struct sp_options *o = sp_calloc(1, sizeof(*o));
    struct sp_buf text;

    sp_buf_init(&text, SP_OPTIONS_MAX);
    sp_options_of_decision(d, o);
    if (sp_options_write(o, &text) == SP_OK && text.len > 0)
        sp_jw_raw(w, "options", sp_buf_bytes(&text));
    sp_buf_clear(&text);
    sp_free(o);
}

void sp_decision_write(const struct sp_decision *d, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "do", sp_do_name(d->verb));
    sp_jw_cstr(&w, "rule", d->rule);
    sp_jw_cstr(&w, "floor", sp_floor_name(d->floor));
    write_ladder(&w, d->ladder);
    write_hold(&w, d);
    sp_jw_cstr(&w, "text", d->text_name);
    sp_jw_cstr(&w, "lowers", d->lowers);
    sp_jw_bool(&w, "whole", d->whole_message);
    sp_jw_int(&w, "expire_ms", d->expire_ms);
    sp_jw_cstr(&w, "redirect", d->redirect);
    write_names(&w, "copies", &d->copies);
    write_names(&w, "raised_by", &d->raised_by);
    write_names(&w, "continued", &d->continued);
    write_names(&w, "tags", &d->tags);
    write_options(&w, d);
    sp_jw_end(&w);
}
