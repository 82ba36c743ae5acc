/*
 * The reference of settings as Markdown and as JSON, written from the tables so that it can't drift from what is read: docs
 * hold its output, and a test compares.
 */
#include "config/table.h"

#include "json/units.h"

static const char *const type_names[] = {
    [SP_SETTING_TEXT] = "text",        [SP_SETTING_WORD] = "word",
    [SP_SETTING_CHOICE] = "word",      [SP_SETTING_INT] = "whole number",
    [SP_SETTING_BOOL] = "true, false", [SP_SETTING_DURATION] = "duration",
    [SP_SETTING_SIZE] = "size",        [SP_SETTING_TEXTS] = "texts",
};

static const char *const form_names[] = {
    [SP_FORM_ANY] = "",
    [SP_FORM_NAME] = "name",
    [SP_FORM_HOST] = "host name",
    [SP_FORM_DOMAIN] = "domain",
    [SP_FORM_ADDRESS] = "host:port",
    [SP_FORM_PATH] = "path",
    [SP_FORM_URL] = "https URL",
    [SP_FORM_CIDR] = "networks",
    [SP_FORM_MAILBOX] = "mail address",
    [SP_FORM_LOGIN] = "hash, verifier, certificate or claim",
    [SP_FORM_DATE] = "date",
    [SP_FORM_SHA256] = "SHA-256",
    [SP_FORM_UID] = "user id",
    [SP_FORM_GROUP_UID] = "group:user id",
    [SP_FORM_GROUP_MAILBOX] = "group:mailbox",
};

static void put_amount(const struct sp_setting *s, int64_t v, struct sp_buf *out)
{
    if (s->type == SP_SETTING_DURATION)
        sp_units_format_duration(v, out);
    else if (s->type == SP_SETTING_SIZE)
        sp_units_format_size(v, out);
    else
        sp_buf_put_dec(out, v);
}

static void put_range(const struct sp_setting *s, struct sp_buf *out)
{
    if (s->choices != NULL) {
        for (size_t i = 0; s->choices[i] != NULL; i++)
            sp_buf_printf(out, "%s`%s`", i == 0 ? "" : " ", s->choices[i]);
        return;
    }
    if (s->type != SP_SETTING_INT && s->type != SP_SETTING_DURATION && s->type != SP_SETTING_SIZE)
        return;
    put_amount(s, s->min, out);
    sp_buf_put_cstr(out, " to ");
    put_amount(s, s->max, out);
}

static const char *type_of(const struct sp_setting *s)
{
    return s->form == SP_FORM_ANY ? type_names[s->type] : form_names[s->form];
}

static void put_rows(const char *prefix, const struct sp_setting *settings, size_t count,
                     struct sp_buf *out)
{
    sp_buf_put_cstr(out,
                    "| setting | type | range | default | what it does |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct sp_setting *s = &settings[i];

        sp_buf_printf(out, "| `%s%s` | %s | ", prefix, s->path, type_of(s));
        put_range(s, out);
        if (s->otherwise == NULL)
            sp_buf_put_cstr(out, " | *must be given*");
        else
            sp_buf_printf(out, " | %s%s%s", s->otherwise[0] ? "`" : "none", s->otherwise,
                          s->otherwise[0] ? "`" : "");
        sp_buf_printf(out, " | %s |\n", s->sentence);
    }
}

void sp_config_table_reference(const struct sp_setting_table *t, struct sp_buf *out)
{
    sp_buf_printf(out, "## %s\n\n", t->file);
    put_rows("", t->settings, t->setting_count, out);
    for (size_t i = 0; i < t->list_count; i++) {
        const struct sp_setting_list *l = &t->lists[i];

        sp_buf_printf(out, "\n### `%s`: %s\n\n%s\n\n", l->path,
                      l->by_key ? "an object" : "an array of objects", l->sentence);
        if (!l->by_key)
            put_rows("", l->settings, l->setting_count, out);
        else
            sp_buf_printf(out, "| member name | member value |\n|---|---|\n| %s | %s |\n",
                          l->settings[0].sentence, l->settings[1].sentence);
    }
}

static void put_limit(struct sp_jw *w, const char *key, const struct sp_setting *s, int64_t v)
{
    struct sp_buf text;

    sp_buf_init(&text, 64);
    put_amount(s, v, &text);
    sp_jw_text(w, key, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

static void put_object(const struct sp_setting_table *t, const char *list,
                       const struct sp_setting *s, struct sp_jw *w)
{
    bool has_range =
        s->choices == NULL &&
        (s->type == SP_SETTING_INT || s->type == SP_SETTING_DURATION || s->type == SP_SETTING_SIZE);

    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "file", t->file);
    sp_jw_cstr(w, "list", list);
    sp_jw_cstr(w, "setting", s->path);
    sp_jw_cstr(w, "type", type_of(s));
    if (s->choices != NULL)
        sp_jw_array(w, "choices");
    for (size_t i = 0; s->choices != NULL && s->choices[i] != NULL; i++)
        sp_jw_cstr(w, NULL, s->choices[i]);
    if (s->choices != NULL)
        sp_jw_end(w);
    if (has_range) {
        put_limit(w, "least", s, s->min);
        put_limit(w, "most", s, s->max);
    }
    sp_jw_cstr(w, "default", s->otherwise);
    sp_jw_cstr(w, "text", s->sentence);
    sp_jw_end(w);
}

void sp_config_table_list(const struct sp_setting_table *t, struct sp_jw *w)
{
    for (size_t i = 0; i < t->setting_count; i++)
        put_object(t, NULL, &t->settings[i], w);
    for (size_t i = 0; i < t->list_count; i++)
        for (size_t k = 0; k < t->lists[i].setting_count; k++)
            put_object(t, t->lists[i].path, &t->lists[i].settings[k], w);
}
