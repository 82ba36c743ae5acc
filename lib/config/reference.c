/*
 * The reference of settings as Markdown, written from the tables so that it can't drift from what is read: docs hold its
 * output, and a test compares.
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

static void put_rows(const char *prefix, const struct sp_setting *settings, size_t count,
                     struct sp_buf *out)
{
    sp_buf_put_cstr(out,
                    "| setting | type | range | default | what it does |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct sp_setting *s = &settings[i];

        sp_buf_printf(out, "| `%s%s` | %s | ", prefix, s->path,
                      s->form == SP_FORM_ANY ? type_names[s->type] : form_names[s->form]);
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
