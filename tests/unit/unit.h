// What every unit test executable begins with: cmocka and its prerequisites, and a main() that honours BATON_TEST_FILTER, a
// cmocka pattern such as `TestLog*` (this is how `make test RUN=` selects).
#ifndef BATON_TESTS_UNIT_H
#define BATON_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

// AddressSanitizer makes tests slow, so those that go through many cases take fewer. GCC and Clang tell of it differently.
#if defined __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

// `tests` is an array of struct CMUnitTest; the exit status is the number of failures.
#define UNIT_MAIN(tests)                                                                                                    \
    int main(void) {                                                                                                        \
        const char *filter = getenv("BATON_TEST_FILTER");                                                                   \
        if (filter != NULL) {                                                                                               \
            cmocka_set_test_filter(filter);                                                                                 \
        }                                                                                                                   \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                                   \
    }

#endif
