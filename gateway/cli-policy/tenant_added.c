/*
 * sallyport tenant add: what it tells when the file is there. One page a provider with what is to be done on its side, the records for DNS,
 * or all of it as JSON. The secret is in it, this once.
 */
#include "gateway/cli-policy/tenant.h"

#include "base/text.h"

#include <stdio.h>

#define ANSWER_MAX (64 * 1024)

static void print_m365(const struct tenant_wanted *w, const char *host)
{
    printf(
        "In Exchange Online PowerShell:\n\n"
        "  New-OutboundConnector -Name \"Sallyport\" -ConnectorType Partner -UseMXRecord $false "
        "`\n"
        "    -SmartHosts %s -TlsSettings DomainValidation -TlsDomain %s -IsTransportRuleScoped "
        "$true\n"
        "  New-TransportRule -Name \"Sallyport\" -SentToScope NotInOrganization `\n"
        "    -SetHeaderName X-Sallyport-Tenant -SetHeaderValue %s `\n"
        "    -RouteMessageOutboundConnector \"Sallyport\" -StopRuleProcessing $true\n\n"
        "The rule names no sender, so that what is forwarded for people outside passes here too; "
        "it is refused\n"
        "until \"forwards\" and \"auth_as\" of the tenant's file allow it. It has no exception by "
        "a header field,\n"
        "which any sender could write. Only if this gateway gives mail back to Microsoft 365 add\n"
        "-ExceptIfSenderIpRanges with the gateway's public addresses.\n\n",
        host, host, w->secret);
    if (w->tenant_id == NULL)
        printf("Then add \"tenant_id\" to \"proofs\": "
               "(Get-OrganizationConfig).ExternalDirectoryOrganizationId\n\n");
}

static void print_google(const struct tenant_wanted *w, const char *host)
{
    printf("In the Google Admin console, Apps > Google Workspace > Gmail:\n\n"
           "  Hosts: add a route \"Sallyport\" to %s, port 25; require TLS, a CA-signed "
           "certificate and its host name.\n"
           "  Compliance or Routing, a rule for outbound mail: add the custom header "
           "X-Sallyport-Tenant with the value\n"
           "    %s\n"
           "  and change the route to \"Sallyport\". Authenticate email: DKIM must be on for the "
           "domain.\n\n",
           host, w->secret);
}

/* A TXT record holds strings of at most 255 octets (RFC 1035 3.3). */
static void print_key(const char *record)
{
    size_t len = strlen(record);

    for (size_t at = 0; at < len; at += 255)
        printf(" \"%.255s\"", record + at);
    printf("\n");
}

static void print_dns(const struct tenant_wanted *w, const char *domain, const char *host)
{
    printf("In the DNS of %s:\n\n"
           "  SPF: put  a:%s  into the record v=spf1 of %s\n",
           domain, host, domain);
    for (size_t i = 0; i < TENANT_SIGNERS; i++) {
        printf("  DKIM: %s._domainkey.%s  TXT ", w->signers[i].selector, domain);
        print_key(w->signers[i].record);
    }
    printf("  MTA-STS, for mail that comes to you: _mta-sts.%s  TXT  \"v=STSv1; id=1\", and the "
           "policy at\n"
           "    https://mta-sts.%s/.well-known/mta-sts.txt\n\n",
           domain, domain);
}

static void print_added(const struct tenant_wanted *w, const char *path, const char *host)
{
    printf("wrote %s, and its DKIM keys %s and %s\n\n", path, w->signers[0].key, w->signers[1].key);
    if (w->m365 != NULL)
        print_m365(w, host);
    else
        print_google(w, host);
    print_dns(w, w->m365 != NULL ? w->m365 : w->google, host);
    printf("The secret is shown this once. Then: sallyport providers refresh, sallyport check, "
           "reload, and sallyport tenant check %s.\n",
           w->name);
}

void cli_tenant_tell_added(const struct cli *cli, const struct tenant_wanted *w, const char *path,
                           const char *host)
{
    const char *domain = w->m365 != NULL ? w->m365 : w->google;
    char name[640];
    struct sp_buf out;
    struct sp_jw jw;

    if (!cli->json) {
        print_added(w, path, host);
        return;
    }
    sp_buf_init(&out, ANSWER_MAX);
    sp_jw_init(&jw, &out);
    sp_jw_object(&jw, NULL);
    sp_jw_cstr(&jw, "file", path);
    sp_jw_cstr(&jw, "tenant", w->name);
    sp_jw_cstr(&jw, "smarthost", host);
    sp_jw_cstr(&jw, "header", "X-Sallyport-Tenant");
    sp_jw_cstr(&jw, "secret", w->secret);
    sp_jw_array(&jw, "dkim");
    for (size_t i = 0; i < TENANT_SIGNERS; i++) {
        (void)snprintf(name, sizeof(name), "%s._domainkey.%s", w->signers[i].selector, domain);
        sp_jw_object(&jw, NULL);
        sp_jw_cstr(&jw, "key", w->signers[i].key);
        sp_jw_cstr(&jw, "name", name);
        sp_jw_cstr(&jw, "type", "TXT");
        sp_jw_cstr(&jw, "value", w->signers[i].record);
        sp_jw_end(&jw);
    }
    sp_jw_end(&jw);
    sp_jw_end(&jw);
    cli_print(&out);
    sp_buf_wipe(&out);
}
