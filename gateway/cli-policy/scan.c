/*
 * Content facts of a message file, by the same detector that the scanner runs: so that explain says of a message on disk
 * what the gateway would say of it. Nothing is printed of what was found but class, types and counts.
 */
#include "detect/detect.h"
#include "gateway/cli-policy/cli.h"

static const char *class_name(enum sp_detect_class class)
{
    static const char *const names[] = {
        [SP_DETECT_NONE] = "none",
        [SP_DETECT_IDENTIFIER] = "identifier",
        [SP_DETECT_PHI] = "phi",
        [SP_DETECT_SEVERE] = "severe",
    };

    return names[class];
}

static const char *sealed_name(enum sp_detect_sealed sealed)
{
    static const char *const names[] = {
        [SP_DETECT_NOT_SEALED] = "none",
        [SP_DETECT_SMIME] = "smime",
        [SP_DETECT_PGP] = "pgp",
        [SP_DETECT_SIGNED] = "signed",
    };

    return names[sealed];
}

static void set_named(struct sp_facts *f, enum sp_fact fact, const char *name)
{
    int64_t number;

    if (sp_fact_value_parse(fact, sp_bytes_cstr(name), &number))
        sp_facts_set_number(f, fact, number);
}

static void set_attachments(struct cli *cli, struct sp_facts *f, const struct sp_detect_result *r)
{
    size_t room = (r->attachment_count + 1) * sizeof(struct sp_bytes);
    struct sp_bytes *types = sp_arena_alloc(cli->arena, room);
    struct sp_bytes *names = sp_arena_alloc(cli->arena, room);
    bool is_opaque = false;
    size_t named = 0;

    for (size_t i = 0; i < r->attachment_count; i++) {
        types[i] = sp_bytes_cstr(r->attachments[i].type);
        if (r->attachments[i].name != NULL && r->attachments[i].name[0] != '\0')
            names[named++] = sp_bytes_cstr(r->attachments[i].name);
        is_opaque = is_opaque || r->attachments[i].opaque;
    }
    sp_facts_set_texts(f, SP_FACT_ATTACHMENT_TYPE, types, r->attachment_count);
    sp_facts_set_texts(f, SP_FACT_ATTACHMENT_NAME, names, named);
    sp_facts_set_number(f, SP_FACT_ATTACHMENT_OPAQUE, is_opaque);
}

static void set_found(struct cli *cli, struct cli_facts *f, const struct sp_detect_result *r)
{
    struct sp_bytes *special = sp_arena_alloc(cli->arena, SP_DETECT_SPECIALS * sizeof(*special));
    size_t special_count = 0;

    for (size_t i = 0; i < SP_DETECT_SPECIALS; i++)
        if ((r->special & 1U << i) != 0)
            special[special_count++] = sp_bytes_cstr(sp_detect_special_name(i));
    f->type_count = 0;
    for (enum sp_detect_type t = 0; t < SP_DETECT_TYPES; t++)
        if (r->types[t].count > 0 && f->type_count < CLI_FACTS_TYPES_MAX)
            f->types[f->type_count++] = (struct sp_fact_type){
                sp_bytes_cstr(sp_detect_type_name(t)), r->types[t].count, r->types[t].distinct};
    sp_facts_set_types(&f->facts, f->types, f->type_count);
    set_named(&f->facts, SP_FACT_MESSAGE_SEALED, sealed_name(r->sealed));
    set_named(&f->facts, SP_FACT_PHI_CLASS, class_name(r->class));
    sp_facts_set_number(&f->facts, SP_FACT_PHI_SCORE, r->score);
    sp_facts_set_texts(&f->facts, SP_FACT_PHI_SPECIAL, special, special_count);
    set_attachments(cli, &f->facts, r);
    f->has_scan = true;
    f->scan = r->partial ? SP_SCAN_PARTIAL : SP_SCAN_COMPLETE;
}

void cli_scan(struct cli *cli, struct cli_facts *f, const char *path, struct sp_bytes message)
{
    SP_AUTO(sp_detect) detect = NULL;
    struct sp_mime_source source = sp_mime_source_bytes(&message);
    struct sp_detect_limits limits = {0};
    struct sp_detect_result result;
    struct sp_err err;

    if (sp_detect_new(&detect, &err) != SP_OK) {
        sp_problem_file(cli->problems, path, 0, err.rc, "can't examine it: %s", err.text);
        return;
    }
    if (sp_detect_message(detect, &source, &limits, cli->arena, &result) == SP_OK) {
        set_found(cli, f, &result);
    } else { /* as the relay takes it: most sensitive */
        f->has_scan = true;
        f->scan = SP_SCAN_CRASHED;
    }
}
