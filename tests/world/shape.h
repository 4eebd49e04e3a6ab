// How large a world is, and where its hosts are: drawn from the seed.
#ifndef BATON_TESTS_WORLD_SHAPE_H
#define BATON_TESTS_WORLD_SHAPE_H

// Hosts are in this order: first members, spares, clients, watchers, workers, and the operator as the last one.
struct shape {
    int members;  // at first
    int spares;   // machines that wait to be added
    int clients;
    int watchers;
    int workers;
    int clouds;
};

// Adds the hosts, links them, and configures the nodes.
struct shape shape_draw(void);

// The first host of each sort.
int shape_first_client(const struct shape *shape);
int shape_first_watcher(const struct shape *shape);
int shape_first_worker(const struct shape *shape);
int shape_operator(const struct shape *shape);

#endif
