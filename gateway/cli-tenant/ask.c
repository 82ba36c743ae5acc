/*
 * Questions to DNS, one after another: a command has nothing else to do meanwhile.
 */
#include "gateway/cli-tenant/cli.h"

struct wait {
    struct sp_loop *loop;
    const struct sp_dns_answer *answer;
};

static void on_answer(void *arg, const struct sp_dns_answer *answer)
{
    struct wait *w = arg;

    w->answer = sp_dns_answer_ref(answer);
    sp_loop_stop(w->loop);
}

static const struct sp_dns_answer *ask(struct cli *cli, struct sp_bytes name, enum sp_dns_type type)
{
    struct wait w = {.loop = cli->loop};

    (void)sp_dns_ask(sp_dns_resolver_ops(cli->resolver), name, type, on_answer, &w);
    sp_loop_run(cli->loop);
    return w.answer;
}

void cli_spf_ask(void *ctx, struct sp_bytes name, enum sp_dns_type type,
                 const struct sp_dns_answer **out)
{
    *out = ask(ctx, name, type);
}

const struct sp_dns_answer *cli_ask(struct cli *cli, const char *name, enum sp_dns_type type)
{
    return ask(cli, sp_bytes_cstr(name), type);
}

size_t cli_addresses(struct cli *cli, const char *host, struct sp_dns_ip *out, size_t max,
                     enum sp_rc *rc)
{
    static const enum sp_dns_type types[] = {SP_DNS_A, SP_DNS_AAAA};
    size_t count = 0;

    *rc = SP_OK;
    for (size_t k = 0; k < SP_ARRAY_LEN(types); k++) {
        const struct sp_dns_answer *a = cli_ask(cli, host, types[k]);

        if (sp_dns_rc_is_error(a->rc))
            *rc = a->rc;
        for (size_t i = 0; a->rc == SP_OK && i < a->count && count < max; i++)
            out[count++] = a->records[i].ip;
        sp_dns_answer_unref(a);
    }
    return count;
}
