/*
 * Settings as data: a table says name, type, range, default and one sentence for each; reading, checking, did-you-mean
 * and the reference in docs all come from it. Private to config. thread: any
 */
#ifndef SP_CONFIG_TABLE_H
#define SP_CONFIG_TABLE_H

#include "base/arena.h"
#include "base/text.h"
#include "json/problem.h"

enum sp_setting_type {
    SP_SETTING_TEXT,     /* const char * */
    SP_SETTING_WORD,     /* const char *, one of choices */
    SP_SETTING_CHOICE,   /* an enum: the index in choices */
    SP_SETTING_INT,      /* int64_t */
    SP_SETTING_BOOL,     /* bool */
    SP_SETTING_DURATION, /* int64_t, milliseconds */
    SP_SETTING_SIZE,     /* int64_t, bytes */
    SP_SETTING_TEXTS,    /* struct sp_config_texts */
};

/* What a text must look like. */
enum sp_setting_form {
    SP_FORM_ANY,
    SP_FORM_NAME,          /* letters, digits, hyphens, dots, underscores */
    SP_FORM_HOST,          /* a host name */
    SP_FORM_DOMAIN,        /* the same, in U-labels too */
    SP_FORM_ADDRESS,       /* host:port, [v6]:port */
    SP_FORM_PATH,          /* not empty, no NUL or line end */
    SP_FORM_URL,           /* https:// */
    SP_FORM_CIDR,          /* 192.0.2.0/24, 2001:db8::/32, or one address */
    SP_FORM_MAILBOX,       /* local@domain */
    SP_FORM_LOGIN,         /* $argon2id$..., SCRAM-SHA-256$..., certificate:NAME, oauth:VALUE */
    SP_FORM_DATE,          /* 2026-12-06 */
    SP_FORM_SHA256,        /* 64 hexadecimal digits */
    SP_FORM_UID,           /* digits */
    SP_FORM_GROUP_UID,     /* name:digits */
    SP_FORM_GROUP_MAILBOX, /* name:address */
};

struct sp_setting {
    const char *path; /* "intake.size_limit"; relative to the item in a list */
    enum sp_setting_type type;
    size_t offset;
    int64_t min, max;      /* of numbers */
    const char *otherwise; /* as one would write it; NULL: must be given */
    const char *const *choices;
    enum sp_setting_form form;
    const char *sentence;
};

/* An array of objects, or (by_key) an object whose member names fill each item's first setting. */
struct sp_setting_list {
    const char *path;
    size_t items_offset;
    size_t count_offset;
    size_t item_size;
    const struct sp_setting *settings;
    size_t setting_count;
    size_t least; /* items */
    bool by_key;
    const char *sentence;
};

struct sp_setting_table {
    const char *file; /* "sallyport.json" */
    const struct sp_setting *settings;
    size_t setting_count;
    const struct sp_setting_list *lists;
    size_t list_count;
};

/*
 * Fills the structure at base from the tree; everything wrong goes to problems.
 *
 * arena: gets all texts and lists
 */
void sp_config_table_read(const struct sp_setting_table *t, const struct sp_json *root, void *base,
                          struct sp_arena *arena, struct sp_problems *problems);

/* Appends the reference as Markdown. */
void sp_config_table_reference(const struct sp_setting_table *t, struct sp_buf *out);

/* Appends an object a setting to an array. */
void sp_config_table_list(const struct sp_setting_table *t, struct sp_jw *w);

/* returns: NULL if text has the form, else what would be right, static */
const char *sp_config_form_check(enum sp_setting_form form, struct sp_bytes text);

#endif
