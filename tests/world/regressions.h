// Seeds that broke something once, and their virtual seconds. A seed stays, though another version draws another run from
// it.
//
//   566        a wiped voter's vote counts at a member that does not know its directory
//   1597       two wiped founders found the cluster once more
//   4250       a channel whose server has gone away
//   207861342  a short write before a crash: the node refuses to start
//   207861510  a Watch whose client gives up before it begins
//   20785012399 clients that go on asking a node which is gone for good (the world's own fault)
//   20785028861 a node that two generations have added (the world's own fault)
#define REGRESSIONS(X)                                                                                                      \
    X(566, 10)                                                                                                              \
    X(1597, 10)                                                                                                             \
    X(4250, 10)                                                                                                             \
    X(207861342, 20)                                                                                                        \
    X(207861510, 20)                                                                                                        \
    X(20785012399, 20)                                                                                                      \
    X(20785028861, 20)
