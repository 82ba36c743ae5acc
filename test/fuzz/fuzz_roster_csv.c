/*
 * Tables of people: whatever a file holds, it is either refused with a reason, or gives lists whose files are read back as
 * just these members and pass through a second time unchanged. The input's first byte says whether one list is asked for.
 */
#include "roster/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The file of a list, and the roster that its lines make. */
static void check(const struct sp_roster_group *g)
{
    struct sp_roster *again = sp_roster_new(SP_ROSTER_ADDRESSES);
    struct sp_roster *domains = sp_roster_new(SP_ROSTER_DOMAINS);
    struct sp_roster_change c;
    struct sp_buf text;
    struct sp_bytes rest, line;

    sp_buf_init(&text, SP_ROSTER_FILE_MAX);
    sp_assert(sp_roster_format(g->roster, "import", &text) == SP_OK);
    rest = sp_buf_bytes(&text);
    sp_assert(sp_bytes_split(&rest, '\n', &line) && line.ptr[0] == '#');
    while (sp_bytes_split(&rest, '\n', &line))
        sp_assert(line.len == 0 || sp_roster_add(again, line) == SP_OK ||
                  sp_roster_add(domains, line) == SP_OK);
    sp_assert(sp_roster_count(again) + sp_roster_count(domains) == sp_roster_count(g->roster));
    sp_roster_compare(g->roster, sp_buf_bytes(&text), "import", &c);
    sp_assert(c.is_kept && c.added == 0 && c.gone == 0 && c.before == sp_roster_count(g->roster));
    sp_buf_clear(&text);
    sp_roster_free(again);
    sp_roster_free(domains);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = {"a"};
    const struct sp_roster_wanted wanted = {names, len > 0 && data[0] % 2 != 0};
    struct sp_problems *problems = sp_problems_new();
    struct sp_roster_groups *groups = NULL;

    if (len > 0 && sp_roster_csv_read(sp_bytes(data + 1, len - 1), "t.csv", &wanted, problems,
                                      &groups) != SP_OK) {
        sp_assert(groups == NULL && sp_problems_errors(problems) > 0);
    } else if (groups != NULL) {
        for (size_t i = 0; i < groups->count; i++)
            check(&groups->items[i]);
    }
    sp_roster_groups_free(groups);
    sp_problems_free(problems);
    return 0;
}
