// RFC 3339 text. The date is computed here because gmtime_r takes a lock and reads the environment.
#include "base/rfc3339.h"

#include <assert.h>
#include <time.h>

enum { MS_PER_S = 1000, MS_PER_DAY = 86400 * MS_PER_S };

#define EARLIEST_MS INT64_C(-62167219200000)  // 0000-01-01T00:00:00.000Z
#define LATEST_MS   INT64_C(253402300799999)  // 9999-12-31T23:59:59.999Z

// Writes `digits` decimal digits of value, zero-padded; returns the end.
static char *digits_put(char *out, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + digits;
}

// Converts days since 1970-01-01 to a date in the proleptic Gregorian calendar. Years begin in March, so that the leap day
// is a year's last; an era is 400 years, 146,097 days.
static void civil_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
    int64_t since_era0 = days + 719468;  // from 0000-03-01
    int64_t era = (since_era0 >= 0 ? since_era0 : since_era0 - 146096) / 146097;
    int64_t day_of_era = since_era0 - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

void rfc3339_format(char out[RFC3339_SIZE], int64_t unix_ms) {
    unix_ms = unix_ms < EARLIEST_MS ? EARLIEST_MS : unix_ms > LATEST_MS ? LATEST_MS : unix_ms;
    int64_t days = (unix_ms >= 0 ? unix_ms : unix_ms - (MS_PER_DAY - 1)) / MS_PER_DAY;
    int64_t ms = unix_ms - days * MS_PER_DAY;
    int64_t year;
    int64_t month;
    int64_t day;
    civil_from_days(days, &year, &month, &day);
    assert(year >= 0 && year <= 9999);
    int64_t s = ms / MS_PER_S;
    char *at = digits_put(out, year, 4);
    *at++ = '-';
    at = digits_put(at, month, 2);
    *at++ = '-';
    at = digits_put(at, day, 2);
    *at++ = 'T';
    at = digits_put(at, s / 3600, 2);
    *at++ = ':';
    at = digits_put(at, s / 60 % 60, 2);
    *at++ = ':';
    at = digits_put(at, s % 60, 2);
    *at++ = '.';
    at = digits_put(at, ms % MS_PER_S, 3);
    *at++ = 'Z';
    *at = '\0';
}

int64_t unix_ms_now(void) {
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    assert(rc == 0);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}
