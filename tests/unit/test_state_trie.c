// The ordered map and its versions, by seed, against a naive model: what a version shows never changes, whatever happens to
// the map; and when all are given back, every leaf has been freed once.
#include <malloc.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"
#include "random.h"
#include "state/trie.h"
#include "unit.h"

enum { KEYS = 300, VERSIONS = 6, ROUNDS = 30000 };

struct leaf {
    struct trie_leaf leaf;
    uint32_t number;  // what the key has; never 0
    uint8_t key[];
};

static size_t living;

static void destroy(struct trie_leaf *leaf) {
    assert_true(living-- > 0);
    free((struct leaf *)leaf);
}

static struct leaf *new_leaf(struct slice key, uint32_t number) {
    struct leaf *leaf = mem_alloc(sizeof *leaf + key.len);
    leaf->number = number;
    memcpy(leaf->key, key.data, key.len);
    leaf->leaf = (struct trie_leaf){.key_offset = offsetof(struct leaf, key), .key_len = (uint16_t)key.len};
    living++;
    return leaf;
}

static uint64_t seed;
static struct slice keys[KEYS];  // in byte order, distinct

// The map at one moment.
struct model {
    uint32_t numbers[KEYS];  // 0: not there
    size_t count;
};

static int key_order(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool is_drawn(struct slice key, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(keys[i], key)) {
            return true;
        }
    }
    return false;
}

// Keys that begin with each other, and that differ in one half byte only.
static void draw_keys(void) {
    for (size_t i = 0; i < KEYS;) {
        uint8_t bytes[40];
        struct slice parent = i == 0 || random_below(&seed, 4) == 0 ? slice_of(NULL, 0) : keys[random_below(&seed, i)];
        size_t len = parent.len == 0 ? 0 : random_below(&seed, parent.len + 1);
        if (len > 0) {
            memcpy(bytes, parent.data, len);
        }
        for (size_t more = 1 + random_below(&seed, 3); more > 0 && len < sizeof bytes; more--) {
            bytes[len++] = (uint8_t)(random_below(&seed, 2) == 0 ? random_u64(&seed) : random_below(&seed, 3));
        }
        if (!is_drawn(slice_of(bytes, len), i)) {
            keys[i++] = slice_of(memcpy(mem_alloc(len), bytes, len), len);
        }
    }
    qsort(keys, KEYS, sizeof keys[0], key_order);
}

static void free_keys(void) {
    for (size_t i = 0; i < KEYS; i++) {
        free((void *)keys[i].data);
    }
}

// --- the map ---

static struct trie map;
static struct model now;

// Sets a key, in place where that is allowed.
static void set(size_t which, uint32_t number) {
    bool is_known_new = now.numbers[which] == 0 && random_below(&seed, 2) == 0;
    struct trie_leaf **place = is_known_new ? NULL : trie_place(&map, keys[which]);
    assert_int_equal(place != NULL, now.numbers[which] != 0);
    if (place == NULL) {
        trie_insert(&map, &new_leaf(keys[which], number)->leaf);
        now.count++;
    } else if (random_below(&seed, 2) == 0 && !trie_is_shared(*place)) {
        ((struct leaf *)*place)->number = number;
    } else {
        trie_replace(&map, place, &new_leaf(keys[which], number)->leaf);
    }
    now.numbers[which] = number;
}

static void remove_key(size_t which) {
    if (now.numbers[which] != 0) {
        trie_remove(&map, keys[which]);
        now.numbers[which] = 0;
        now.count--;
    }
}

// --- what a tree shows ---

struct walk {
    const struct model *model;
    struct slice prefix;
    size_t next;  // the key that must come next, if it is there
    size_t left;  // leaves to visit before stopping
};

static void skip_to_next(struct walk *walk) {
    while (walk->next < KEYS &&
           (walk->model->numbers[walk->next] == 0 || !slice_starts_with(keys[walk->next], walk->prefix))) {
        walk->next++;
    }
}

static bool check_leaf(void *user, struct trie_leaf *leaf) {
    struct walk *walk = user;
    skip_to_next(walk);
    assert_true(walk->next < KEYS);
    assert_true(slice_equal(trie_key(leaf), keys[walk->next]));
    assert_int_equal(((struct leaf *)leaf)->number, walk->model->numbers[walk->next]);
    walk->next++;
    return --walk->left > 0;
}

// Visits all of a prefix in pieces, each resumed by the last key alone.
static void check_tree(const struct trie_tree *tree, const struct model *model) {
    assert_int_equal(tree->count, model->count);
    struct slice some = keys[random_below(&seed, KEYS)];
    struct walk walk = {.model = model};
    walk.prefix = random_below(&seed, 2) == 0 ? slice_of(NULL, 0) : slice_of(some.data, random_below(&seed, some.len + 1));
    struct slice after = slice_of(NULL, 0);
    do {
        walk.left = 1 + random_below(&seed, 100);
        trie_visit(tree, walk.prefix, after, check_leaf, &walk);
        after = walk.next == 0 ? after : keys[walk.next - 1];
    } while (walk.left == 0);
    skip_to_next(&walk);
    assert_int_equal(walk.next, KEYS);
    size_t which = random_below(&seed, KEYS);
    struct trie_leaf *leaf = trie_find(tree, keys[which]);
    assert_int_equal(leaf != NULL, model->numbers[which] != 0);
    assert_true(leaf == NULL || ((struct leaf *)leaf)->number == model->numbers[which]);
}

// --- the test ---

struct version {
    struct trie_tree tree;
    struct model model;
    bool held;
};

static void take_or_give_back(struct version *version) {
    if (version->held) {
        check_tree(&version->tree, &version->model);
        trie_drop(&map, version->tree);
        version->held = false;
    } else {
        *version = (struct version){.tree = trie_share(&map), .model = now, .held = true};
    }
}

static void change_much(void) {
    size_t kind = random_below(&seed, 3);
    for (size_t i = 0; i < KEYS; i++) {
        if (kind == 0) {
            remove_key(i);
        } else {
            set(i, (uint32_t)(1 + random_below(&seed, 1000)));
        }
    }
}

static void TestTrieVersions(void **state) {
    (void)state;
    seed = random_seed("TestTrieVersions");
    draw_keys();
    map = (struct trie){.destroy = destroy};
    now = (struct model){.count = 0};
    struct version versions[VERSIONS] = {{.held = false}};
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        size_t which = random_below(&seed, KEYS);
        if (random_below(&seed, 3) == 0) {
            remove_key(which);
        } else {
            set(which, round);
        }
        struct version *version = &versions[random_below(&seed, VERSIONS)];
        if (random_below(&seed, 20) == 0) {
            take_or_give_back(version);
        }
        if (random_below(&seed, 500) == 0) {
            change_much();
        }
        if (random_below(&seed, 10) == 0) {
            size_t budget = random_below(&seed, 20);
            trie_collect(&map, &budget);
        }
        if (version->held && random_below(&seed, 10) == 0) {
            check_tree(&version->tree, &version->model);
        }
        check_tree(&map.tree, &now);
    }
    for (size_t i = 0; i < VERSIONS; i++) {
        if (versions[i].held) {
            take_or_give_back(&versions[i]);
        }
    }
    size_t budget = SIZE_MAX;
    assert_false(trie_collect(&map, &budget));
    assert_int_equal(living, now.count);  // nothing is held but what is there
    trie_free(&map);
    assert_int_equal(living, 0);
    free_keys();
}

// A step frees no more than it may; what it has not freed the next one does.
static void TestTrieCollectInSteps(void **state) {
    (void)state;
    seed = random_seed("TestTrieCollectInSteps");
    enum { MANY = 5000 };
    map = (struct trie){.destroy = destroy};
    for (uint32_t i = 1; i <= MANY; i++) {
        uint64_t key = random_u64(&seed);
        trie_insert(&map, &new_leaf(slice_of(&key, sizeof key), i)->leaf);
    }
    struct trie_tree version = trie_share(&map);
    trie_clear(&map);
    size_t budget = SIZE_MAX;
    assert_false(trie_collect(&map, &budget));
    assert_int_equal(living, MANY);  // the version's
    trie_drop(&map, version);
    bool more = true;
    for (size_t before = living; more; before = living) {
        budget = 100;
        more = trie_collect(&map, &budget);
        assert_true(before - living <= 100);
        assert_true(!more || budget == 0);
    }
    assert_int_equal(living, 0);
    trie_free(&map);
}

// A branch gives back the room of the twigs that it loses.
static void TestTrieBranchesShrink(void **state) {
    (void)state;
    enum { TWIGS = 16, LEFT = 2 };
    map = (struct trie){.destroy = destroy};
    for (uint8_t i = 0; i < TWIGS; i++) {
        uint8_t key = (uint8_t)(i << 4);
        trie_insert(&map, &new_leaf(slice_of(&key, 1), 1)->leaf);
    }
    size_t all = malloc_usable_size(map.tree.root.twigs);
    for (uint8_t i = LEFT; i < TWIGS; i++) {
        uint8_t key = (uint8_t)(i << 4);
        trie_remove(&map, slice_of(&key, 1));
    }
    assert_true(malloc_usable_size(map.tree.root.twigs) < all / 2);
    trie_free(&map);
    assert_int_equal(living, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestTrieVersions),
    cmocka_unit_test(TestTrieCollectInSteps),
    cmocka_unit_test(TestTrieBranchesShrink),
};

UNIT_MAIN(tests)
