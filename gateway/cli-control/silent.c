/*
 * Relays that hang. The gateway waits for them a few seconds, once: what is asked after that leaves them out, so that a list
 * of a hundred pages, or an act on all of its messages, goes through what the others have, and says in the end what is missing.
 */
#include "gateway/cli-control/control.h"

static bool is_noted(const struct control_silent *s, int64_t relay)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->relays[i] == relay)
            return true;
    return false;
}

bool control_note_silent(const struct control *c, const struct sp_json *page)
{
    const struct sp_json *list = sp_json_find(page, "silent");
    struct control_silent *s = c->silent;
    size_t before = s->count;

    for (const struct sp_json *n = list == NULL ? NULL : list->first; n != NULL; n = n->next)
        if (s->count < CONTROL_SILENT_MAX && !is_noted(s, n->integer))
            s->relays[s->count++] = n->integer;
    return list == NULL ? sp_json_int_of(page, "relays_silent", 0) > 0 /* of a version before */
                        : s->count > before;
}

void control_put_without(const struct control *c, struct sp_jw *w)
{
    if (c->silent->count == 0)
        return;
    sp_jw_array(w, "without");
    for (size_t i = 0; i < c->silent->count; i++)
        sp_jw_int(w, NULL, c->silent->relays[i]);
    sp_jw_end(w);
}

int control_say_silent(const struct control *c, const char *meaning)
{
    const struct control_silent *s = c->silent;
    struct sp_buf names;
    int code;

    sp_buf_init(&names, 8192);
    sp_buf_put_cstr(&names, s->count == 0 ? "a relay" : s->count == 1 ? "relay" : "relays");
    for (size_t i = 0; i < s->count; i++)
        sp_buf_printf(&names, "%s %lld", i == 0 ? "" : ",", (long long)s->relays[i]);
    code = control_say(c, CONTROL_UNKNOWN, "unknown", "%.*s did not answer: %s",
                       SP_FMT(sp_buf_bytes(&names)), meaning);
    sp_buf_clear(&names);
    return code;
}
