/*
 * Facts from header fields. Only the bounded splitter of mail is used, never a MIME parser: what a field says is taken
 * as text, unfolded and decoded. A header without exactly one From, or with one that can't be read, makes from.address
 * unknown rather than guessed, so rules that trust it do not match.
 */
#include "mail/address.h"
#include "mail/idn.h"
#include "mail/kind.h"
#include "policy/facts.h"

void sp_facts_set_headers(struct sp_facts *f, const struct sp_fact_header *fields, size_t count)
{
    f->headers = fields;
    f->header_count = count;
    f->values[SP_FACT_HEADER].state = SP_FACT_KNOWN;
    sp_facts_set_absent(f, SP_FACT_SUBJECT);
    sp_facts_set_absent(f, SP_FACT_SUBJECT_TAG);
    for (size_t i = 0; i < count; i++) {
        struct sp_bytes tag;

        if (!sp_bytes_eq_nocase(fields[i].name, SP_LIT("subject")))
            continue;
        sp_facts_set_text(f, SP_FACT_SUBJECT, fields[i].value);
        tag = sp_subject_tag(fields[i].value);
        if (tag.len > 0)
            sp_facts_set_text(f, SP_FACT_SUBJECT_TAG, tag);
        break;
    }
}

static void read_from(struct sp_facts *f, const struct sp_header *h, struct sp_arena *arena)
{
    struct sp_address address, second;
    struct sp_field field;
    struct sp_bytes rest;
    struct sp_buf text;
    bool failed = false;

    sp_facts_set_unknown(f, SP_FACT_FROM_ADDRESS);
    if (!sp_header_find(h, SP_LIT("from"), 0, &field) ||
        sp_header_find(h, SP_LIT("from"), 1, &(struct sp_field){0}))
        return;
    rest = field.value;
    if (!sp_address_list_next(&rest, &address, &failed) ||
        sp_address_list_next(&rest, &second, &failed) || failed)
        return;
    sp_buf_init(&text, SP_ADDRESS_MAX + 2);
    sp_address_format_ascii(&address, &text);
    if (sp_buf_rc(&text) == SP_OK)
        sp_facts_set_text(f, SP_FACT_FROM_ADDRESS, sp_arena_copy(arena, sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

/*
 * Sensitivity labels as Microsoft's programs write them: "MSIP_Label_<GUID>_Enabled=true;". The fact holds the GUIDs;
 * the policy knows their names.
 */
static bool is_label(struct sp_bytes part, struct sp_bytes *id)
{
    const struct sp_bytes mark = SP_LIT("MSIP_Label_"), on = SP_LIT("_Enabled=true");

    part = sp_bytes_trim(part);
    if (!sp_bytes_starts_nocase(part, mark) || !sp_bytes_ends_nocase(part, on) ||
        part.len <= mark.len + on.len)
        return false;
    *id = sp_bytes_slice(part, mark.len, part.len - mark.len - on.len);
    return true;
}

/* out: room for all, NULL to count them. returns: how many there are */
static size_t list_labels(const struct sp_facts *f, struct sp_bytes *out)
{
    size_t n = 0;

    for (size_t i = 0; i < f->header_count; i++) {
        struct sp_bytes rest = f->headers[i].value, part, id;

        if (!sp_bytes_eq_nocase(f->headers[i].name, SP_LIT("msip_labels")))
            continue;
        while (sp_bytes_split(&rest, ';', &part)) {
            if (!is_label(part, &id))
                continue;
            if (out != NULL)
                out[n] = id;
            n++;
        }
    }
    return n;
}

static void read_labels(struct sp_facts *f, struct sp_arena *arena)
{
    size_t n = list_labels(f, NULL);
    struct sp_bytes *ids = sp_arena_alloc(arena, (n + 1) * sizeof(*ids));

    (void)list_labels(f, ids);
    sp_facts_set_texts(f, SP_FACT_LABEL, ids, n);
}

void sp_facts_read_header(struct sp_facts *f, const struct sp_header *h, struct sp_arena *arena)
{
    struct sp_fact_header *fields = sp_arena_alloc(arena, (h->count + 1) * sizeof(*fields));
    struct sp_field field;
    struct sp_buf text;
    size_t at = 0, n = 0;

    sp_buf_init(&text, SP_HEADER_MAX * 4);
    while (n < h->count && sp_header_next(h, &at, &field)) {
        sp_buf_reset(&text);
        sp_field_text(&field, &text);
        fields[n].name = sp_arena_copy(arena, field.name);
        fields[n++].value = sp_arena_copy(arena, sp_bytes_trim(sp_buf_bytes(&text)));
    }
    sp_buf_clear(&text);
    sp_facts_set_headers(f, fields, n);
    read_from(f, h, arena);
    read_labels(f, arena);
    sp_facts_set_number(f, SP_FACT_MESSAGE_KIND, (int64_t)sp_mail_kind(h));
}
