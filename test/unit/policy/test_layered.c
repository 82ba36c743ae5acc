/*
 * Policies of several files: a set that is extended, the main file, the layers of a tenant and of its domain. What can never hold or act is
 * told where no nearer file makes it hold after all, and names that no rule of any layer says are told of the author's own files.
 */
#include <stdio.h>

#include "support/policy_told.h"

#define SEALED "{\"rungs\": [\"portal\"], \"floor\": \"sealed\"}"
#define SET                                                                                        \
    "{\"version\": 1, \"settings\": {\"dkim_selector\": \"gw\"}, \"texts\": {\"no\": \"No.\"},\n"  \
    "\"default\": {\"protect\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": "               \
    "\"tls:encrypted\"}}"

static const struct {
    const char *title, *set, *main, *layer,
        *expected; /* NULL: nothing more stands there; nothing need be told */
    bool refused;
} layered[] = {
    /* clang-format keeps to 100 columns by cutting texts */
    {"a list: nobody fills it",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": []}}, \"rules\": [{\"rule\": \"r\", "
     "\"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": {\"protect\": " SEALED "}}]",
     NULL, NULL,
     "policies/base.json:3: rules[0].when.recipient.domain.in: this never holds: nothing is in "
     "\"l\"",
     true},
    {"a list: the main file fills it",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": []}}, \"rules\": [{\"rule\": \"r\", "
     "\"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": {\"protect\": " SEALED "}}]",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.example\"]}}", NULL,
     "lists.l: replaces the one in", false},
    {"a list: a layer fills it",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": []}}, \"rules\": [{\"rule\": \"r\", "
     "\"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": {\"protect\": " SEALED "}}]",
     NULL, "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.example\"]}}",
     "lists.l: replaces the one in", false},
    {"a list: the rule stands within",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": []}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL,
     "policies/policy.json:1: rules[0].when.recipient.domain.in: this never holds: nothing is in "
     "\"l\"",
     true},
    {"a list: the rule stands in a layer",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": []}}", NULL,
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "policies/layers/t.json:1: rules[0].when.recipient.domain.in: this never holds: nothing is in "
     "\"l\"",
     true},
    {"a list: a layer empties it",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.example\"]}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": []}}",
     "lists.l: replaces the one in", false},
    {"alike: nobody has longer names",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.de\"]}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"resembles\": \"l\"}}, "
     "\"then\": {\"protect\": " SEALED "}}]",
     NULL, "names in \"l\" are too short", true},
    {"alike: the main file has",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.de\"]}}, \"rules\": [{\"rule\": "
     "\"r\", \"when\": {\"recipient.domain\": {\"resembles\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"clinic.example\"]}}", NULL,
     "replaces the one in", false},
    {"alike: a layer has",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.de\"]}}, \"rules\": [{\"rule\": "
     "\"r\", \"when\": {\"recipient.domain\": {\"resembles\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"clinic.example\"]}}",
     "replaces the one in", false},
    {"a kind: addresses all along",
     "\"lists\": {\"l\": {\"kind\": \"addresses\", \"entries\": [\"a@b.example\"]}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, "policies/policy.json:1: rules[0].when.recipient.domain.in: \"l\" lists addresses: ask",
     true},
    {"a kind: domains in the place of addresses",
     "\"lists\": {\"l\": {\"kind\": \"addresses\", \"entries\": [\"a@b.example\"]}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.example\"]}}", NULL,
     "replaces the one in", false},
    {"a kind: addresses in the place of domains",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.example\"]}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "\"lists\": {\"l\": {\"kind\": \"addresses\", \"entries\": [\"a@b.example\"]}}", NULL,
     "policies/policy.json:1: lists.l: this lists addresses, and a rule asks it for domains "
     "(policies/base.json:3)",
     true},
    {"a kind: so in a layer",
     "\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"a.example\"]}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, "\"lists\": {\"l\": {\"kind\": \"addresses\", \"entries\": [\"a@b.example\"]}}",
     "policies/layers/t.json:1: lists.l: this lists addresses", true},
    {"a group: nobody is in it", "\"groups\": {\"g\": {\"addresses\": []}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"sender.group\": \"g\"}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, "this never holds: nothing is in \"g\"", true},
    {"a group: the main file fills it",
     "\"groups\": {\"g\": {\"addresses\": []}}, \"rules\": [{\"rule\": \"r\", \"when\": "
     "{\"sender.group\": \"g\"}, \"then\": {\"protect\": " SEALED "}}]",
     "\"groups\": {\"g\": {\"addresses\": [\"a@b.example\"]}}", NULL,
     "groups.g: replaces the one in", false},
    {"a group: a layer fills it",
     "\"groups\": {\"g\": {\"addresses\": []}}, \"rules\": [{\"rule\": \"r\", \"when\": "
     "{\"sender.group\": \"g\"}, \"then\": {\"protect\": " SEALED "}}]",
     NULL, "\"groups\": {\"g\": {\"addresses\": [\"a@b.example\"]}}",
     "groups.g: replaces the one in", false},
    {"a group of a list that is none", "\"groups\": {\"g\": {\"list\": \"k\"}}", NULL, NULL,
     "groups.g.list: \"k\" is not in \"lists\" of any layer", true},
    {"a group of a list within", "\"groups\": {\"g\": {\"list\": \"l\"}}",
     "\"lists\": {\"l\": {\"kind\": \"addresses\", \"entries\": [\"a@b.example\"]}}", NULL,
     "no rule uses this list", false},
    {"portal: the ladder stands in the set",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"portal\": {\"expires\": \"3d\"}}}]",
     NULL, "then.portal: this does nothing: the ladder has no rung \"portal\"", true},
    {"portal: and the rule in a layer",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}", NULL,
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"portal\": {\"expires\": \"3d\"}}}]",
     "policies/layers/t.json:1", true},
    {"portal: the main file has another ladder",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"portal\": {\"expires\": \"3d\"}}}]",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}", NULL,
     "ladders.l: replaces the one in", false},
    {"portal: a layer has another ladder",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"portal\": {\"expires\": \"3d\"}}}]",
     NULL, "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces the one in", false},
    {"portal: a layer takes the rung away",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}, "
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"portal\": {\"expires\": \"3d\"}}}]",
     NULL, "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces the one in", false},
    {"notify: the ladder stands in the set",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"notify\": {\"sender\": [\"unread\"]}}}]",
     NULL, "nobody hears of it: the ladder has no rung \"portal\"", true},
    {"notify: and the rule in a layer",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}", NULL,
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"notify\": {\"sender\": [\"unread\"]}}}]",
     "policies/layers/t.json:1", true},
    {"notify: the main file has another ladder",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"notify\": {\"sender\": [\"unread\"]}}}]",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}", NULL,
     "ladders.l: replaces the one in", false},
    {"notify: a layer has another ladder",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"notify\": {\"sender\": [\"unread\"]}}}]",
     NULL, "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces the one in", false},
    {"notify: a layer takes the rung away",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}, "
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"notify\": {\"sender\": [\"unread\"]}}}]",
     NULL, "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces the one in", false},
    {"smime: the ladder stands in the set",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"smime\": {\"cipher\": \"aes-256-cbc\"}}}]",
     NULL, "the ladder has no rung \"smime\"", true},
    {"smime: and the rule in a layer",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}", NULL,
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"smime\": {\"cipher\": \"aes-256-cbc\"}}}]",
     "policies/layers/t.json:1", true},
    {"smime: the main file has another ladder",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", \"smime\": "
     "{\"cipher\": \"aes-256-cbc\"}}}]",
     "\"ladders\": {\"l\": {\"rungs\": [\"smime\", \"tls:dane\"], \"floor\": \"tls:dane\"}}", NULL,
     "ladders.l: replaces the one in", false},
    {"smime: a layer has another ladder",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", \"smime\": "
     "{\"cipher\": \"aes-256-cbc\"}}}]",
     NULL, "\"ladders\": {\"l\": {\"rungs\": [\"smime\", \"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces the one in", false},
    {"smime: a layer takes the rung away",
     "\"ladders\": {\"l\": {\"rungs\": [\"smime\", \"tls:dane\"], \"floor\": \"tls:dane\"}}, "
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\", "
     "\"smime\": {\"cipher\": \"aes-256-cbc\"}}}]",
     NULL, "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces the one in", false},
    {"a class: nobody declares it",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"phi.special\": {\"has\": \"vip\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, NULL, "\"vip\" is not in \"special\" of any layer", true},
    {"a class: the main file declares it",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"phi.special\": {\"has\": \"vip\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "\"special\": {\"vip\": \"x\"}", NULL, NULL, false},
    {"a class: a layer declares it for itself alone",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"phi.special\": {\"has\": \"vip\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, "\"special\": {\"vip\": \"x\"}",
     "policies/base.json:3: rules[0].when.phi.special.has: \"vip\" is not in", true},
    {"a class: declared around the layer", "\"special\": {\"vip\": \"x\"}", NULL,
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"phi.special\": {\"has\": \"vip\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, false},
    {"a label: nobody names it",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"label\": \"s\"}, \"then\": {\"protect\": " SEALED
     "}}]",
     NULL, NULL, "\"s\" is not in \"labels\" of any layer", true},
    {"a label: the main file names it",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"label\": \"s\"}, \"then\": {\"protect\": " SEALED
     "}}]",
     "\"labels\": {\"s\": \"1f0c8a52-0000-4000-8000-000000000001\"}", NULL, NULL, false},
    {"a type: a rule of that name takes its place",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"attachment.type\": \"pdf\"}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"attachment.type\": \"application/pdf\"}, "
     "\"then\": {\"protect\": " SEALED "}}]",
     NULL, "replaces the rule \"r\" in policies/base.json:3", false},
    {"a type: nothing takes its place",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"attachment.type\": \"pdf\"}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL, NULL, "policies/base.json:3: rules[0].when.attachment.type: this never holds", true},
    {"a type: a layer's rule takes nobody's place",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"attachment.type\": \"pdf\"}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     NULL,
     "\"rules\": [{\"rule\": \"q\", \"when\": {\"attachment.type\": \"application/pdf\"}, "
     "\"then\": {\"protect\": " SEALED "}}]",
     "policies/base.json:3: rules[0].when.attachment.type: this never holds", true},
    {"an expression: a rule of that name takes its place",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": {\"regex\": \"a^\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"attachment.type\": \"application/pdf\"}, "
     "\"then\": {\"protect\": " SEALED "}}]",
     NULL, "replaces the rule \"r\"", false},
    {"an expression: nothing takes its place", NULL, NULL,
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": {\"regex\": \"a^\"}}, \"then\": "
     "{\"protect\": " SEALED "}}]",
     "policies/layers/t.json:1: rules[0].when.subject.regex: this never holds", true},
    {"the registry: the main file's", NULL, "\"preferences\": {\"file\": \"wishes.json\"}", NULL,
     NULL, false},
    {"the registry: a set's", "\"preferences\": {\"file\": \"wishes.json\"}", NULL, NULL,
     "policies/base.json:3: preferences: the registry of preferences is one", true},
    {"the registry: a layer's", NULL, NULL, "\"preferences\": {\"file\": \"wishes.json\"}",
     "policies/layers/t.json:1: preferences: the registry of preferences is one", true},
    {"copies: more than there is room for",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": " SEALED
     ", \"copy\": [\"y0@a.example\", \"y1@a.example\", \"y2@a.example\", \"y3@a.example\", "
     "\"y4@a.example\", \"y5@a.example\", \"y6@a.example\", \"y7@a.example\", \"y8@a.example\", "
     "\"y9@a.example\", \"y10@a.example\", \"y11@a.example\", \"y12@a.example\", "
     "\"y13@a.example\", \"y14@a.example\", \"y15@a.example\", \"y16@a.example\", "
     "\"y17@a.example\", \"y18@a.example\", \"y19@a.example\"]}}]",
     "\"rules\": [{\"rule\": \"more\", \"continue\": true, \"then\": {\"copy\": [\"x0@a.example\", "
     "\"x1@a.example\", \"x2@a.example\", \"x3@a.example\", \"x4@a.example\", \"x5@a.example\", "
     "\"x6@a.example\", \"x7@a.example\", \"x8@a.example\", \"x9@a.example\", \"x10@a.example\", "
     "\"x11@a.example\", \"x12@a.example\", \"x13@a.example\", \"x14@a.example\", "
     "\"x15@a.example\", \"x16@a.example\", \"x17@a.example\", \"x18@a.example\", "
     "\"x19@a.example\"]}}]",
     NULL, "policies/base.json:3: rules[0]: 40 copies may come together here", true},
    {"copies: a layer adds them",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": " SEALED
     ", \"copy\": [\"y0@a.example\", \"y1@a.example\", \"y2@a.example\", \"y3@a.example\", "
     "\"y4@a.example\", \"y5@a.example\", \"y6@a.example\", \"y7@a.example\", \"y8@a.example\", "
     "\"y9@a.example\", \"y10@a.example\", \"y11@a.example\", \"y12@a.example\", "
     "\"y13@a.example\", \"y14@a.example\", \"y15@a.example\", \"y16@a.example\", "
     "\"y17@a.example\", \"y18@a.example\", \"y19@a.example\"]}}]",
     NULL,
     "\"rules\": [{\"rule\": \"more\", \"continue\": true, \"then\": {\"copy\": [\"x0@a.example\", "
     "\"x1@a.example\", \"x2@a.example\", \"x3@a.example\", \"x4@a.example\", \"x5@a.example\", "
     "\"x6@a.example\", \"x7@a.example\", \"x8@a.example\", \"x9@a.example\", \"x10@a.example\", "
     "\"x11@a.example\", \"x12@a.example\", \"x13@a.example\", \"x14@a.example\", "
     "\"x15@a.example\", \"x16@a.example\", \"x17@a.example\", \"x18@a.example\", "
     "\"x19@a.example\"]}}]",
     "40 copies may come together here", true},
    {"copies: a rule of that name takes the place of some",
     "\"rules\": [{\"rule\": \"more\", \"continue\": true, \"then\": {\"copy\": [\"x0@a.example\", "
     "\"x1@a.example\", \"x2@a.example\", \"x3@a.example\", \"x4@a.example\", \"x5@a.example\", "
     "\"x6@a.example\", \"x7@a.example\", \"x8@a.example\", \"x9@a.example\", \"x10@a.example\", "
     "\"x11@a.example\", \"x12@a.example\", \"x13@a.example\", \"x14@a.example\", "
     "\"x15@a.example\", \"x16@a.example\", \"x17@a.example\", \"x18@a.example\", "
     "\"x19@a.example\"]}}]",
     "\"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": " SEALED
     ", \"copy\": [\"y0@a.example\", \"y1@a.example\", \"y2@a.example\", \"y3@a.example\", "
     "\"y4@a.example\", \"y5@a.example\", \"y6@a.example\", \"y7@a.example\", \"y8@a.example\", "
     "\"y9@a.example\", \"y10@a.example\", \"y11@a.example\", \"y12@a.example\", "
     "\"y13@a.example\", \"y14@a.example\", \"y15@a.example\", \"y16@a.example\", "
     "\"y17@a.example\", \"y18@a.example\", \"y19@a.example\"]}}, {\"rule\": \"more\", "
     "\"continue\": true, \"then\": {\"copy\": \"z@a.example\"}}]",
     NULL, "replaces the rule \"more\"", false},
    {"a floor: the main file's, and no rung meets it",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\"}}]",
     "\"settings\": {\"floor\": \"sealed\"}", NULL,
     "policies/base.json:3: rules[0]: no rung of ladder \"l\" meets the floor \"sealed\"", true},
    {"a floor: a layer's, and no rung meets it",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\"}}]",
     NULL, "\"settings\": {\"floor\": \"sealed\"}",
     "policies/base.json:3: rules[0]: no rung of ladder \"l\" meets the floor \"sealed\"", true},
    {"a floor: the main file has a rung for it, too",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\"}}]",
     "\"settings\": {\"floor\": \"sealed\"}, \"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", "
     "\"portal\"], \"floor\": \"tls:dane\"}}",
     NULL, "ladders.l: replaces", false},
    {"a floor: the layer has a rung for it, too",
     "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}}, \"rules\": "
     "[{\"rule\": \"r\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"l\"}}]",
     NULL,
     "\"settings\": {\"floor\": \"sealed\"}, \"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", "
     "\"portal\"], \"floor\": \"tls:dane\"}}",
     "ladders.l: replaces", false},
};

static const char *within(char *out, size_t room, const char *head, const char *more)
{
    snprintf(out, room, "{\"version\": 1, %s%s%s}", head, more == NULL ? "" : ", ",
             more == NULL ? "" : more);
    return out;
}

START_TEST(a_nearer_layer_may_make_it_hold)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(layered); i++) {
        char set[2000], main_file[2000], layer[2000], *said;

        snprintf(set, sizeof(set), SET "\n%s%s}", layered[i].set == NULL ? "" : ", ",
                 layered[i].set == NULL ? "" : layered[i].set);
        {
            const struct file files[] = {
                {"policies/policy.json",
                 within(main_file, sizeof(main_file), "\"extends\": \"base\"", layered[i].main)},
                {"policies/base.json", set},
                {"policies/wishes.json", "{\"version\": 1, \"preferences\": []}"},
                {"policies/layers/t.json",
                 within(layer, sizeof(layer), "\"scope\": {\"tenant\": \"t\"}", layered[i].layer)},
                {NULL, NULL}};
            SP_AUTO(sp_policy) p = load(files, &said);

            ck_assert_msg((p == NULL) == layered[i].refused, "%s:\n%s", layered[i].title, said);
            ck_assert_msg(layered[i].expected == NULL || strstr(said, layered[i].expected) != NULL,
                          "%s:\n%s", layered[i].title, said);
            ck_assert_msg(layered[i].refused || strstr(said, "this never holds") == NULL, "%s:\n%s",
                          layered[i].title, said);
        }
        sp_free(said);
    }
}
END_TEST

START_TEST(names_that_no_rule_says_are_told)
{
    static const struct file files[] = {
        {"policies/policy.json",
         "{\"version\": 1, \"extends\": \"base\", \"preferences\": {\"file\": \"wishes.json\"},\n"
         "\"lists\": {\"spare\": {\"kind\": \"domains\", \"entries\": []}, \"of-a-domain\": "
         "{\"kind\": "
         "\"domains\", \"entries\": [\"a.example\"]}},\n"
         "\"groups\": {\"spare\": {\"addresses\": []}, \"office\": {\"addresses\": "
         "[\"a@b.example\"]}, "
         "\"asked\": {\"addresses\": [\"a@b.example\"]}},\n"
         "\"labels\": {\"spare\": \"1f0c8a52-0000-4000-8000-000000000001\", \"asked\": "
         "\"1f0c8a52-0000-4000-8000-000000000002\"},\n"
         "\"special\": {\"spare\": \"nobody\", \"vip\": \"people of note\"}}"},
        {"policies/base.json", WITH("\"groups\": {\"of-a-set\": {\"addresses\": []}}")},
        {"policies/wishes.json", "{\"version\": 1, \"preferences\": []}"},
        {"policies/layers/t.json", "{\"version\": 1, \"scope\": {\"tenant\": \"t\"},\n"
                                   "\"texts\": {\"for-the-domain\": \"No.\", \"spare\": \"No.\"},\n"
                                   "\"rules\": [{\"rule\": \"q\", \"when\": {\"sender.group\": "
                                   "\"asked\", \"label\": \"asked\", "
                                   "\"phi.special\": {\"has\": \"vip\"}}, \"then\": {\"hold\": "
                                   "{\"for\": \"approval\", \"by\": "
                                   "\"office\", \"protect\": \"best\"}}}]}"},
        {"policies/layers/td.json",
         "{\"version\": 1, \"scope\": {\"tenant\": \"t\", \"domain\": \"d.example\"},\n"
         "\"rules\": [{\"rule\": \"d\", \"when\": {\"recipient.domain\": {\"in\": "
         "\"of-a-domain\"}}, "
         "\"then\": {\"reject\": \"for-the-domain\"}}]}"},
        {NULL, NULL}};
    static const char told[] =
        "policies/policy.json:2: lists.spare: no rule uses this list\n"
        "policies/policy.json:3: groups.spare: no rule names this group: ask {\"sender.group\": "
        "\"spare\"}, let it release a hold (\"by\"), or take it out\n"
        "policies/policy.json:4: labels.spare: no rule asks for this label: ask {\"label\": "
        "\"spare\"}, or take it out\n"
        "policies/policy.json:5: special.spare: no rule asks for this class: ask {\"phi.special\": "
        "{\"has\": \"spare\"}}, or take it out\n"
        "policies/layers/t.json:2: texts.spare: no rule uses this text\n"
        "policies/policy.json:1: preferences: no rule asks what recipients want: ask "
        "recipient.preference, or take it out\n";
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_msg(p != NULL, "%s", said);
    ck_assert_str_eq(said, told);
    sp_free(said);
}
END_TEST

#define MARK "\xef\xbb\xbf" /* of the byte order, as editors write it before a file's first line */

/* returns: the rule that decides for a recipient of a whole message about nothing */
static const char *rule_for(const struct sp_policy *p, const char *to, struct sp_decision *d)
{
    struct sp_facts f;

    sp_facts_init(&f);
    f.now_ms = 1780000000000; /* of 2026 */
    sp_facts_set_sender(&f, SP_LIT("a@b.example"));
    sp_facts_set_recipient(&f, sp_bytes_cstr(to));
    sp_facts_close_stage(&f, SP_STAGE_ENVELOPE);
    sp_policy_decide(p, &f, d);
    return d->rule;
}

START_TEST(what_an_editor_writes_before_a_list_hides_no_entry)
{
    static const struct file files[] = {
        {"policies/policy.json", MARK
         "{\"version\": 1, \"extends\": \"base\", \"preferences\": {\"file\": \"wishes.json\"},\n"
         "\"lists\": {\"people\": {\"kind\": \"addresses\", \"file\": \"people.txt\"}},\n"
         "\"texts\": {\"note\": {\"file\": \"note.txt\"}},\n"
         "\"rules\": [{\"rule\": \"people\", \"when\": {\"recipient.address\": {\"in\": "
         "\"people\"}}, \"then\": {\"protect\": " SEALED ", \"notice\": \"note\"}}]}"},
        {"policies/base.json", MARK SET "}"},
        {"policies/people.txt", MARK "pat@c.example\r\nlee@c.example\tuntil=2040-01-01\t# note\r\n"
                                     "kim@c.example \t until=2020-01-01\r\n"},
        {"policies/note.txt", MARK "Do not pass on.\r\n"},
        {"policies/wishes.json", MARK "{\"version\": 1, \"preferences\": []}"},
        {NULL, NULL}};
    struct sp_decision d;
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_msg(p != NULL, "%s", said);
    ck_assert_str_eq(rule_for(p, "pat@c.example", &d), "people");
    ck_assert(sp_bytes_eq(d.edits.notice.len > 0 ? d.edits.notice : d.page_notice,
                          SP_LIT("Do not pass on.")));
    ck_assert_str_eq(rule_for(p, "lee@c.example", &d), "people");
    ck_assert_str_eq(rule_for(p, "kim@c.example", &d), "default");
    sp_free(said);
}
END_TEST

START_TEST(files_are_told_by_their_whole_path_with_what_was_meant)
{
    static const struct {
        const char *main, *told;
        bool refused;
    } cases[] = {
        {"\"extends\": \"hippa-default\"",
         "there is no set \"hippa-default\", neither beside the policy "
         "nor with the program; did you mean \"hipaa-default\"?",
         true},
        {"\"extends\": \"nothing-like-it\"", "nor with the program", true},
        {"\"extends\": \"base\", \"lists\": {\"l\": {\"kind\": \"domains\", \"file\": "
         "\"bad.txt\"}}",
         "policies/bad.txt:2: expected a domain like", true},
        {"\"extends\": \"base\", \"lists\": {\"l\": {\"kind\": \"partners\", \"file\": "
         "\"bad.json\"}}",
         "policies/bad.json:1", true},
        {"\"extends\": \"base\", \"preferences\": {\"file\": \"ended.json\"}",
         "policies/ended.json:1: preferences[0]: this never counts: it ends before it begins",
         false},
        {"\"extends\": \"base\", \"rules\": [{\"rule\": \"r\", \"when\": {\"phi.count\": 3}, "
         "\"then\": "
         "{\"reject\": \"no\"}}]",
         "did you mean \"phi.count.TYPE\"?", true},
        {"\"extends\": \"base\", \"rules\": [{\"rule\": \"r\", \"when\": {\"header\": \"x\"}, "
         "\"then\": "
         "{\"reject\": \"no\"}}]",
         "did you mean \"header.NAME\"?", true},
        {"\"extends\": \"base\", \"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": {\"regex\": "
         "\"[[:digit:]]+\"}}, \"then\": {\"reject\": \"no\"}}]",
         "[:alpha:] would be these signs themselves", true},
        {"\"extends\": \"base\", \"rules\": [{\"rule\": \"r\", \"when\": {\"subject\": {\"regex\": "
         "\"[[:;]+\"}}, \"then\": {\"reject\": \"no\"}}]",
         "", false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        char text[2000], *said;

        {
            const struct file files[] = {
                {"policies/policy.json", within(text, sizeof(text), cases[i].main, NULL)},
                {"policies/base.json", SET "}"},
                {"policies/bad.txt", "a.example\nno@entry\n"},
                {"policies/bad.json", "{\"version\": 1, \"partners\": 3}"},
                {"policies/ended.json", "{\"version\": 1, \"preferences\": [{\"recipient\": "
                                        "\"a@b.example\", \"preference\": \"tls\", \"by\": \"x\", "
                                        "\"given\": \"2026-01-01\", \"until\": \"2026-01-01\"}]}"},
                {NULL, NULL}};
            SP_AUTO(sp_policy) p = load(files, &said);

            ck_assert_msg((p == NULL) == cases[i].refused, "%s:\n%s", cases[i].main, said);
            ck_assert_msg(strstr(said, cases[i].told) != NULL, "%s:\n%s", cases[i].main, said);
        }
        sp_free(said);
    }
}
END_TEST

#define PROTECT "\"protect\": " SEALED
#define HOLD    "\"hold\": {\"for\": \"quarantine\", \"protect\": " SEALED "}"

/* 42 CFR 2.32: the guard of a set seals it, whichever rule decides; the notice is the set's rule's. */
START_TEST(a_rule_that_leaves_out_a_sets_notice_is_told)
{
    static const char set[] = SET
        ", \"rules\": [{\"rule\": \"part2\", \"when\": {\"phi.special\": {\"has\": \"part2\"}}, "
        "\"then\": {\"protect\": " SEALED ", \"notice\": \"no\"}},\n"
        "{\"rule\": \"other\", \"when\": {\"subject\": \"y\"}, \"then\": {\"protect\": " SEALED
        ", \"notice\": \"no\"}}]}";
    static const struct {
        const char *when, *then;
        bool is_told;
    } cases[] = {
        {"\"recipient.domain\": \"a.example\"", PROTECT, true},
        {"\"phi.class\": {\"at_least\": \"phi\"}", PROTECT, true},
        {"\"any\": [{\"subject\": \"x\"}, {\"phi.special\": {\"exists\": true}}]", PROTECT, true},
        {"\"message.sealed\": [\"smime\", \"signed\"]", PROTECT, true},
        {"\"phi.special\": {\"has\": [\"hiv\", \"part2\"]}", PROTECT, true},
        {"\"recipient.domain\": \"a.example\"", PROTECT ", \"notice\": \"no\"", false},
        {"\"subject\": \"x\"", HOLD, true}, /* it goes when somebody lets it go */
        {"\"subject\": \"x\"", HOLD ", \"notice\": \"no\"", false},
        {"\"any\": [{\"subject\": \"x\"}], \"phi.special\": {\"has\": \"part2\"}",
         HOLD ", \"notice\": \"no\"}}, {\"rule\": \"rest\", \"when\": {\"subject\": \"x\"}, "
              "\"then\": {" HOLD,
         false}, /* the one before it has taken them */
        {"\"subject\": \"x\"", "\"reject\": \"no\"", false},
        {"\"subject\": \"y\"",
         "\"reject\": \"no\"}}], \"guards\": [{\"rule\": \"g\", \"when\": {\"subject\": \"x\"}, "
         "\"then\": {" HOLD,
         true},
        {"\"subject\": \"x\", \"phi.special\": {\"exists\": false}", PROTECT, false},
        {"\"subject\": \"x\", \"not\": {\"phi.special\": {\"exists\": true}}", PROTECT, false},
        {"\"subject\": \"x\", \"not\": {\"phi.special\": {\"has\": \"part2\"}}", PROTECT, false},
        {"\"phi.class\": {\"below\": \"severe\"}", PROTECT, false}, /* what is special is severe */
        {"\"phi.class\": \"phi\"", PROTECT, false},
        {"\"message.sealed\": [\"smime\", \"pgp\"]", PROTECT, false}, /* nobody can read it */
    };
    static const char told[] =
        "this decides mail that \"part2\" (policies/base.json:2) puts a notice above, and leaves "
        "the notice out";

    for (size_t i = 0; i < 2 * SP_ARRAY_LEN(cases); i++) {
        bool in_layer = i % 2 == 1;
        char rule[1000], main_file[2000], layer[2000], *said;

        snprintf(rule, sizeof(rule),
                 "\"rules\": [{\"rule\": \"mine\", \"when\": {%s}, \"then\": {%s}}]",
                 cases[i / 2].when, cases[i / 2].then);
        {
            const struct file files[] = {
                {"policies/policy.json", within(main_file, sizeof(main_file),
                                                "\"extends\": \"base\"", in_layer ? NULL : rule)},
                {"policies/base.json", set},
                {"policies/layers/t.json",
                 within(layer, sizeof(layer), "\"scope\": {\"tenant\": \"t\"}",
                        in_layer ? rule : NULL)},
                {NULL, NULL}};
            SP_AUTO(sp_policy) p = load(files, &said);

            ck_assert_msg(p != NULL, "%s:\n%s", rule, said);
            ck_assert_msg((strstr(said, told) != NULL) == cases[i / 2].is_told, "%s:\n%s", rule,
                          said);
            ck_assert_msg(strstr(said, "\"other\"") == NULL, "%s:\n%s", rule, said);
        }
        sp_free(said);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_nearer_layer_may_make_it_hold);
    tcase_add_test(c, names_that_no_rule_says_are_told);
    tcase_add_test(c, what_an_editor_writes_before_a_list_hides_no_entry);
    tcase_add_test(c, a_rule_that_leaves_out_a_sets_notice_is_told);
    tcase_add_test(c, files_are_told_by_their_whole_path_with_what_was_meant);
}

SP_TEST_MAIN("policy.layered", add)
