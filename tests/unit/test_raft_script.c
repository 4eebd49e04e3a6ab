// The scenarios' language (tests/scenarios/script.h): a bad command says what is wrong with it.
#include <string.h>

#include "../scenarios/script.h"
#include "base/array.h"
#include "unit.h"

static void TestScriptErrors(void **state) {
    (void)state;
    static const struct {
        const char *command;
        const char *error;
    } cases[] = {
        {"elect n1", "there is no command 'elect'"},
        {"members n1", "the members are named already"},
        {"start n4", "'n4' is no member"},
        {"start n1", "n1 was started before"},
        {"start n2 term six", "a term expected instead of 'six'"},
        {"start n2 term", "a term is missing"},
        {"start n2 term 5 log 1 6", "the log's last term is beyond the current one"},
        {"start n2 term 5 log 2 1", "a log has at most 64 entries, and terms that never fall"},
        {"wait 150 n1", "a duration such as 150ms or 20us expected instead of '150'"},
        {"timeout n2", "n2 does not run"},
        {"read n2 a", "n2 is played by the script"},
        {"deliver m1", "there is no message m1"},
        {"deliver n1->n2", "no message is in flight: n1->n2 "},
        {"drop everything", "a message such as m3 or n1->n2 expected instead of 'everything'"},
        {"send n2->n1 AppendEntry term 5",
         "RequestVote, PreVote, AppendEntries, TimeoutNow or InstallSnapshot expected instead of 'AppendEntry'"},
        {"send n2->n1 AppendEntries term 5 prev 1:1", "an entry such as 5(t4) expected instead of '1:1'"},
        {"send n2->n1 AppendEntries term 5 last 1(t1)", "'last' is not expected here"},
        {"send n2->n1 AppendEntries term 5 entries 2(t5) and", "'and' is not expected here"},
        {"send n2 RequestVote term 5", "n2->n1 expected instead of 'n2'"},
        {"persist n1", "n1 has no write in progress"},
        {"restart n1", "n1 is not down"},
        {"status n1 please", "'please' is no member"},
        {"heal all", "'all' is not expected here"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct cluster cluster;
        cluster_init(&cluster);
        script_run(&cluster, "members n1 n2 n3");
        script_run(&cluster, "start n1 term 5");
        assert_string_equal(cluster.error, "");
        script_run(&cluster, cases[i].command);
        assert_string_equal(cluster.error, cases[i].error);
        cluster_free(&cluster);
    }
}

static void TestScriptReplyToReply(void **state) {
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster);
    script_run(&cluster, "members n1 n2 n3");
    script_run(&cluster, "start n1 term 5");
    script_run(&cluster, "timeout n1");
    script_run(&cluster, "reply m1 granted");
    script_run(&cluster, "reply m3 granted");
    assert_string_equal(cluster.error, "m3 is a reply");
    cluster_free(&cluster);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestScriptErrors),
    cmocka_unit_test(TestScriptReplyToReply),
};

UNIT_MAIN(tests)
