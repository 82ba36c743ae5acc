/*
 * The networks of a provider, as `sallyport providers refresh` writes them: text, so that an administrator can read, compare
 * and mend it with any tool. Read as strictly as settings are, since each line opens the door a little. Lists that came out
 * too wide by a mistake in somebody's DNS are caught here as well as where they are made.
 */
#include "config/tenant.h"

#include "base/clock.h"
#include "config/table.h"

#define COMMENT   SP_LIT("#")
#define REFRESHED SP_LIT("# refreshed ")
#define LEAST_V4  8
#define LEAST_V6  24

static bool is_wide(struct sp_bytes network)
{
    size_t slash = sp_bytes_find(network, '/');
    bool v6 = sp_bytes_find(network, ':') != SIZE_MAX;
    uint64_t prefix;

    return slash != SIZE_MAX &&
           sp_bytes_to_u64(sp_bytes_slice(network, slash + 1, network.len), &prefix) &&
           prefix < (v6 ? LEAST_V6 : LEAST_V4);
}

/* The next network of the text. returns: false at its end */
static bool next(struct sp_bytes *text, struct sp_bytes *out, uint32_t *line, int64_t *refreshed_ms)
{
    while (sp_bytes_split(text, '\n', out)) {
        (*line)++;
        if (sp_bytes_starts_nocase(*out, REFRESHED) && refreshed_ms != NULL &&
            !sp_time_parse_rfc3339(sp_bytes_trim(sp_bytes_slice(*out, REFRESHED.len, out->len)),
                                   refreshed_ms))
            *refreshed_ms = 0;
        *out = sp_bytes_trim(*out);
        if (out->len > 0 && !sp_bytes_starts_nocase(*out, COMMENT))
            return true;
    }
    return false;
}

/* returns: how many there are; 0 with problems if any is wrong */
static size_t look(struct sp_bytes text, int64_t *refreshed_ms, const char *file,
                   struct sp_problems *problems)
{
    size_t before = sp_problems_errors(problems), count = 0;
    struct sp_bytes network;
    uint32_t line = 0;

    while (next(&text, &network, &line, refreshed_ms)) {
        const char *wanted = sp_config_form_check(SP_FORM_CIDR, network);

        count++;
        if (wanted != NULL)
            sp_problem_file(problems, file, line, SP_E_CONFIG_INVALID, "expected %s", wanted);
        else if (is_wide(network))
            sp_problem_file(problems, file, line, SP_E_CONFIG_INVALID,
                            "%.*s is half the Internet: nobody's network", SP_FMT(network));
    }
    if (count == 0)
        sp_problem_file(problems, file, 0, SP_E_CONFIG_INVALID, "it names no network");
    return sp_problems_errors(problems) > before ? 0 : count;
}

size_t sp_tenant_count_networks(struct sp_bytes text, int64_t *refreshed_ms,
                                struct sp_problems *problems)
{
    *refreshed_ms = 0;
    return look(text, refreshed_ms, "networks", problems);
}

enum sp_rc sp_tenant_add_networks(struct sp_tenant *t, struct sp_bytes text, const char *file,
                                  struct sp_problems *problems)
{
    size_t count = look(text, NULL, file, problems);
    struct sp_config_texts *own = &t->proofs.networks;
    struct sp_bytes network;
    const char **items;
    uint32_t line = 0;

    if (count == 0)
        return SP_E_CONFIG_INVALID;
    items = sp_arena_alloc(t->arena, (own->count + count) * sizeof(*items));
    if (own->count > 0)
        memcpy(items, own->items, own->count * sizeof(*items));
    own->items = items;
    while (next(&text, &network, &line, NULL))
        own->items[own->count++] = sp_arena_cstr(t->arena, network);
    return SP_OK;
}
