/*
 * Files of the configuration, read as the gateway reads them.
 */
#include "gateway/cli-tenant/cli.h"
#include "gateway/cli/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)8 << 20)

enum sp_rc cli_read(struct cli *cli, const char *path, struct sp_bytes *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    uint8_t *data;
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? SP_E_NOT_FOUND : SP_E_IO;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX) {
        close(fd);
        errno = EINVAL; /* no file, or none of settings */
        return SP_E_IO;
    }
    data = sp_arena_alloc(cli->arena, (size_t)st.st_size + 1);
    while (len < (size_t)st.st_size && n > 0) {
        n = read(fd, data + len, (size_t)st.st_size - len);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    *out = sp_bytes(data, len);
    return n >= 0 ? SP_OK : SP_E_IO;
}

static bool find_folders(struct cli *cli)
{
    const char *slash = strrchr(cli->config, '/');
    int len = slash == NULL ? 1 : (int)(slash - cli->config) + (slash == cli->config);
    int n = snprintf(cli->dir, CLI_PATH_MAX, "%.*s", len, slash == NULL ? "." : cli->config);

    return n > 0 && n < CLI_PATH_MAX &&
           sp_config_place(cli->settings->tenants, cli->dir, cli->tenants_dir, CLI_PATH_MAX) ==
               SP_OK;
}

static bool open_resolver(struct cli *cli)
{
    const struct sp_config_texts *servers = &cli->settings->resolver.servers;
    struct sp_dns_settings settings = {.trusted = cli->settings->resolver.trusted,
                                       .deadline_ms = cli->settings->resolver.timeout_ms};

    for (size_t i = 0; i < servers->count && i < SP_DNS_SERVERS_MAX; i++) {
        struct sp_dns_server *s = &settings.servers[settings.server_count];
        char ip[SP_ADDR_TEXT_MAX];
        struct sp_addr at;

        if (!sp_addr_parse(sp_bytes_cstr(servers->items[i]), &at))
            continue;
        sp_addr_format_ip(&at, ip);
        if (!sp_dns_ip_parse(sp_bytes_cstr(ip), &s->ip))
            continue;
        s->port = sp_addr_port(&at);
        settings.server_count++;
    }
    if (settings.server_count == 0)
        return false;
    cli->loop = sp_loop_new();
    cli->resolver = sp_dns_resolver_new(cli->loop, NULL, &settings);
    cli->spf = (struct sp_spf_ops){.ask = cli_spf_ask, .ctx = cli};
    return true;
}

bool cli_settings(struct cli *cli)
{
    struct sp_bytes text;
    enum sp_rc rc = cli_read(cli, cli->config, &text);

    if (rc != SP_OK)
        sp_problem_file(cli->problems, cli->config, 0, rc, "can't be read: %s",
                        strerrordesc_np(errno));
    else if (sp_config_load(text, cli->config, cli->problems, &cli->settings) != SP_OK)
        cli->settings = NULL;
    else if (!find_folders(cli))
        sp_problem_file(cli->problems, cli->config, 0, SP_E_LIMIT, "the path is too long");
    else
        return true;
    (void)cli_print_problems(cli, CLI_USAGE);
    return false;
}

bool cli_open(struct cli *cli)
{
    if (!cli_settings(cli))
        return false;
    if (open_resolver(cli))
        return true;
    sp_problem_file(cli->problems, cli->config, 0, SP_E_CONFIG_INVALID,
                    "resolver.servers names no address that can be asked");
    (void)cli_print_problems(cli, CLI_USAGE);
    return false;
}

void cli_reload(const struct cli *cli)
{
    struct control c = {.config = cli->config, .mute = true};

    if (control_reload(&c) != CONTROL_OK)
        (void)cli_tell(cli, CLI_OK, "absent", "no gateway runs here that could read it now");
}

void cli_close(struct cli *cli)
{
    sp_dns_resolver_free(cli->resolver);
    if (cli->loop != NULL)
        sp_loop_free(cli->loop);
    sp_config_free(cli->settings);
}

bool cli_tenant_path(const struct cli *cli, const char *folder, const char *name,
                     const char *ending, char *out)
{
    int n = snprintf(out, CLI_PATH_MAX, "%s%s%s/%s%s", cli->tenants_dir, folder[0] ? "/" : "",
                     folder, name, ending);

    return n > 0 && n < CLI_PATH_MAX && strchr(name, '/') == NULL;
}

struct sp_tenant *cli_tenant_load(struct cli *cli, const char *name)
{
    struct sp_tenant *t = NULL;
    char path[CLI_PATH_MAX];
    struct sp_bytes text;
    enum sp_rc rc = SP_E_NOT_FOUND;

    if (cli_tenant_path(cli, "", name, ".json", path))
        rc = cli_read(cli, path, &text);
    if (rc != SP_OK)
        sp_problem_file(cli->problems, name, 0, rc, "there is no such tenant");
    else if (sp_tenant_load(text, path, cli->problems, &t) != SP_OK)
        t = NULL;
    return t;
}

int cli_tell(const struct cli *cli, int code, const char *error, const char *fmt, ...)
{
    const struct cli_voice voice = {cli->json, "sallyport"};
    va_list values;

    va_start(values, fmt);
    (void)cli_refuse_list(&voice, code, error, fmt, values);
    va_end(values);
    return code;
}

int cli_print_problems(const struct cli *cli, int code)
{
    struct sp_buf text;

    for (size_t i = 0; i < sp_problems_count(cli->problems); i++) {
        const struct sp_problem *p = sp_problems_at(cli->problems, i);

        sp_buf_init(&text, 1 << 20);
        sp_problem_format(p, &text);
        if (cli->json)
            (void)cli_tell(cli, p->is_warning ? CLI_OK : code,
                           p->is_warning ? "warning" : sp_rc_name(p->rc), "%.*s",
                           SP_FMT(sp_buf_bytes(&text)));
        else
            (void)fprintf(stderr, "%.*s\n", SP_FMT(sp_buf_bytes(&text)));
        sp_buf_clear(&text);
    }
    return code;
}
