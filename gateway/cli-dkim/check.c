/*
 * check: every selector's record is asked for at once and compared with the key that signs. One line a selector, in their order,
 * whenever the answers come. What DNS could not be asked is neither right nor wrong.
 */
#include "gateway/cli-dkim/cli.h"

#include "base/text.h"
#include "dns/resolver.h"
#include "io/addr.h"
#include "io/loop.h"

#include <stdio.h>

enum finding {
    GOOD,
    NO_KEY,
    ABSENT,
    SEVERAL,
    BROKEN,
    REVOKED,
    OTHER,
    LIMITED,
    TESTING,
    UNKNOWN,
};

static const struct {
    const char *name; /* in JSON */
    const char *text;
    int code;
} findings[] = {
    [GOOD] = {"published", "published, and it is the key that signs", CLI_OK},
    [NO_KEY] = {"no-key", "there is no key that could sign: sallyport dkim keygen", CLI_WRONG},
    [ABSENT] = {"absent", "no such record: publish what \"sallyport dkim dns\" prints", CLI_WRONG},
    [SEVERAL] = {"several", "several records: verifiers take any of them or none", CLI_WRONG},
    [BROKEN] = {"broken", "the record can't be read as a key", CLI_WRONG},
    [REVOKED] = {"revoked", "the record says that its key is revoked (p= is empty)", CLI_WRONG},
    [OTHER] = {"other-key", "the record holds another key than the one that signs", CLI_WRONG},
    [LIMITED] = {"limited", "the right key, but h= or s= forbid what it signs", CLI_WRONG},
    [TESTING] = {"testing", "the right key, but t=y lets verifiers ignore it", CLI_WRONG},
    [UNKNOWN] = {"unknown", "DNS could not be asked", CLI_UNSURE},
};

struct look_up {
    struct check *check;
    const struct cli_key *at;
    struct sp_pkey *key;
    enum finding finding;
};

struct check {
    struct sp_loop *loop;
    size_t open;
};

static enum finding finding_of(enum sp_dkim_finding f)
{
    static const enum finding of[] = {
        [SP_DKIM_RECORD_GOOD] = GOOD,       [SP_DKIM_RECORD_BROKEN] = BROKEN,
        [SP_DKIM_RECORD_REVOKED] = REVOKED, [SP_DKIM_RECORD_OTHER] = OTHER,
        [SP_DKIM_RECORD_LIMITED] = LIMITED, [SP_DKIM_RECORD_TESTING] = TESTING,
    };

    return of[f];
}

static void on_answer(void *arg, const struct sp_dns_answer *answer)
{
    struct look_up *l = arg;

    if (answer->rc == SP_E_DNS_NONE || answer->rc == SP_E_DNS_NXDOMAIN)
        l->finding = ABSENT;
    else if (answer->rc != SP_OK)
        l->finding = UNKNOWN;
    else if (answer->count != 1)
        l->finding = SEVERAL;
    else
        l->finding = finding_of(sp_dkim_record_compare(answer->records[0].data, l->key));
    if (--l->check->open == 0)
        sp_loop_stop(l->check->loop);
}

static struct sp_dns_resolver *resolver_of(const struct cli *cli, struct sp_loop *loop)
{
    struct sp_dns_settings settings = {.deadline_ms = cli->config->resolver.timeout_ms};

    for (size_t i = 0; i < cli->config->resolver.servers.count; i++) {
        struct sp_dns_server *s = &settings.servers[settings.server_count];
        char ip[SP_ADDR_TEXT_MAX];
        struct sp_addr at;

        if (settings.server_count == SP_DNS_SERVERS_MAX ||
            !sp_addr_parse(sp_bytes_cstr(cli->config->resolver.servers.items[i]), &at))
            continue;
        sp_addr_format_ip(&at, ip);
        if (!sp_dns_ip_parse(sp_bytes_cstr(ip), &s->ip))
            continue;
        s->port = sp_addr_port(&at);
        settings.server_count++;
    }
    return settings.server_count == 0 ? NULL : sp_dns_resolver_new(loop, NULL, &settings);
}

static int tell(const struct cli *cli, const struct look_up *looks)
{
    int code = CLI_OK;
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, 4U << 20);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "findings");
    for (size_t i = 0; i < cli->key_count; i++) {
        enum finding f = looks[i].finding;

        if (findings[f].code != CLI_OK && code != CLI_WRONG)
            code = findings[f].code;
        if (!cli->json)
            printf("%s %s: %s\n", findings[f].code == CLI_OK ? "✓" : "✗", looks[i].at->name,
                   findings[f].text);
        sp_jw_object(&w, NULL);
        sp_jw_cstr(&w, "tenant", looks[i].at->tenant->name);
        sp_jw_cstr(&w, "name", looks[i].at->name);
        sp_jw_cstr(&w, "finding", findings[f].name);
        sp_jw_cstr(&w, "text", findings[f].text);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_bool(&w, "ok", code == CLI_OK);
    sp_jw_end(&w);
    if (cli->json)
        printf("%.*s\n", SP_FMT(sp_buf_bytes(&out)));
    sp_buf_clear(&out);
    return code;
}

int cli_check(struct cli *cli)
{
    SP_AUTO(sp_loop) loop = sp_loop_new();
    SP_AUTO(sp_dns_resolver) resolver = resolver_of(cli, loop);
    struct look_up *looks = sp_calloc(cli->key_count, sizeof(*looks));
    struct check check = {.loop = loop};
    int code;

    for (size_t i = 0; i < cli->key_count; i++) {
        struct look_up *l = &looks[i];

        *l = (struct look_up){&check, &cli->keys[i], cli_key_read(cli, &cli->keys[i]), UNKNOWN};
        if (l->key == NULL)
            l->finding = NO_KEY;
        if (l->key == NULL || resolver == NULL)
            continue;
        check.open++;
        (void)sp_dns_ask(sp_dns_resolver_ops(resolver), sp_bytes_cstr(l->at->name), SP_DNS_TXT,
                         on_answer, l);
    }
    if (check.open > 0)
        sp_loop_run(loop);
    code = tell(cli, looks);
    for (size_t i = 0; i < cli->key_count; i++)
        sp_pkey_free(looks[i].key);
    sp_free(looks);
    return code;
}
