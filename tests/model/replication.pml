/*
 * The log of three nodes, or four: what is committed stays in the log of every later leader, whoever leads, is added, removed,
 * wiped or promoted. Modelled are src/raft/append.c, commit.c, members.c and transfer.c, and what src/wire/raft_messages.c
 * refuses. Elections are those of the paper: whatever pre-votes, stickiness and timers exclude (election.pml) may happen here.
 *
 * There are no messages. A message says what its sender was in a term: where a candidate's log ends, what a leader's log has,
 * which only grows, what a follower has of that. So who takes a message reads that from its sender, at any moment, any number
 * of times, or never: messages may be lost, delayed, doubled and overtaken. One that would arrive after its sender has gone to a
 * later term may as well arrive before, since nothing that happens in a term depends on what happens in a later one. A crash
 * is a node that does nothing until it campaigns: what it has besides the durable concerns its own term alone.
 *
 * Bounds: NODES, TERMS, and ENTRIES in a log, the first of which is the founding configuration. LED: it begins with a leader
 * of term 2 whose no-op all have. LOSS: of broken variants, that they lose entries, not that a term has two leaders.
 *
 * Variants: none, a fixed configuration; MEMBERS, voters are added and removed, one at a time; WIPES, a member's disk is
 * wiped, and its machine waits to be added as another one; GENERATIONS, a survivor is promoted, and the others rejoin or not.
 */
#include "trace.pml"

#ifndef NODES
#define NODES 3
#endif
#ifndef TERMS
#define TERMS 4
#endif
#ifndef ENTRIES
#define ENTRIES 3
#endif
#ifndef NEW_TERMS
#define NEW_TERMS 1
#endif
#ifndef VOTERS /* at the start, a bit each */
#define VOTERS 7
#endif

mtype = { follower, candidate, leader };

/* --- entries: a term, and the voters of a configuration or 0 --- */
#define entry(t, voters) ((t) + 16 * (voters))
#define term_of(e) ((e) & 15)
#define voters_of(e) ((e) >> 4)
#define log_at(i, k) log[(i) * ENTRIES + (k) - 1]
#define matched(i, j) match[(i) * NODES + (j)]
#define bit_of(i) (1 << (i))
#define has(set, i) (((set) >> (i)) & 1)
#define ones(set) (has(set, 0) + has(set, 1) + has(set, 2) + has(set, 3))
#define last_of(i) term_of(log_at(i, length[i]))
#define is_quorum(set, voters) (2 * ones((set) & (voters)) > ones(voters))

/* --- nodes: number i is "n" + (i + 1), and 0 is nobody where a node is named --- */
mtype role[NODES] = follower;
byte term[NODES] = 1;
byte vote[NODES];
byte length[NODES] = 1;
byte log[NODES * ENTRIES];
byte voters[NODES];        /* of the configuration in force: the latest one in the log, committed or not */
byte conf[NODES];          /* the index of its entry */
byte got[NODES];           /* of a candidate: who has granted it the vote, a bit each */
byte commit[NODES];        /* of a leader: what it has committed in its term, 0: nothing yet */
byte match[NODES * NODES]; /* of a leader i: up to where node j is known to have its log */

/* --- ghosts --- */
bit elected[16];                /* which terms have had a leader */
byte committed[2 * ENTRIES];    /* of each generation, by index: the entry, 0: none yet */
byte committed_in[2 * ENTRIES]; /* the first term whose leader has committed it */

hidden byte from;
hidden byte me;
hidden byte k;
hidden byte set;

#ifdef WIPES
byte wiped; /* whose disk was wiped, as a number + 1; what is on the disk since then is the last node */
#define spare (NODES - 1)
#define lives(i) (wiped != (i) + 1 && ((i) != spare || wiped > 0))
#else
#define lives(i) 1
#endif
/* In whose name node i speaks. Right: a message names the sender's data directory, and the configuration the members'. */
#if defined(BROKEN_WIPED_VOTES) || defined(BROKEN_WIPED_FOLLOWS)
#define name_of(i) ((i) == spare && wiped > 0 -> wiped - 1 : (i))
#else
#define name_of(i) (i)
#endif
/* A node that knows no cluster never votes. */
#ifdef BROKEN_WIPED_VOTES
#define knows_cluster(i) 1
#else
#define knows_cluster(i) (length[i] > 0)
#endif

#ifdef GENERATIONS
bit generation[NODES]; /* 1: the new one */
byte founded;          /* the term in which that was founded, 0: not yet */
#ifdef BROKEN_TERM_IN_REACH
#define GAP 1
#else
#define GAP TERMS /* more than the terms that the old generation can still reach: in truth 2^20 */
#endif
#ifdef BROKEN_OLD_GENERATION_HEARD
#define last_term(i) (founded > 0 -> founded + NEW_TERMS : TERMS)
#else
#define last_term(i) (generation[i] -> founded + NEW_TERMS : TERMS)
#endif
#define place(i, k) (generation[i] * ENTRIES + (k) - 1)
#else
#define last_term(i) TERMS
#define place(i, k) ((k) - 1)
#endif

/* Whether node i lacks, in its term, what an earlier leader has committed at k. */
#define lacks(i, k) (committed[place(i, k)] > 0 && committed_in[place(i, k)] < term[i] && committed[place(i, k)] != log_at(i, k))

#define is_committed(i, k) (committed[place(i, k)] == log_at(i, k) && committed_in[place(i, k)] <= term[i])

/* Whether node j takes what i says. */
#if defined(GENERATIONS) && !defined(BROKEN_OLD_GENERATION_HEARD)
#define hears(j, i) (lives(i) && lives(j) && generation[i] == generation[j])
#else
#define hears(j, i) (lives(i) && lives(j))
#endif

/* --- what is printed of a trace, which is told in larger steps: an event, and then what all nodes are --- */

#ifdef TRACE
inline tell(i) {
    if
    :: commit[i] > 0 ->
        printf("n%d leader term %d vote %d log %d(t%d) voters %d committed %d\n", i + 1, term[i], vote[i], length[i], last_of(i), voters[i], commit[i])
    :: else -> printf("n%d %e term %d vote %d log %d(t%d) voters %d\n", i + 1, role[i], term[i], vote[i], length[i], last_of(i), voters[i])
    fi
}

byte crashes;
byte knows[NODES]; /* whom it takes for its leader: who else asks it to take over is not obeyed */
#define know(j, i) knows[j] = i
#define is_led(j, i) (knows[j] == (i) + 1)
#define then_lead(i) if :: may_lead(i) -> lead(i) :: else fi
#define then_commit(i) commit_all(i)
#define takes_all 1
#else
#define know(j, i) skip
#define is_led(j, i) 1
#define then_lead(i) skip
#define then_commit(i) skip
#define takes_all 0
#endif

/* --- state --- */

inline adopt_configuration(i) {
    voters[i] = 0; conf[i] = 0;
    k = 1;
    do
    :: k <= length[i] ->
        if :: voters_of(log_at(i, k)) > 0 -> voters[i] = voters_of(log_at(i, k)); conf[i] = k :: else fi;
        k++
    :: else -> break
    od
}

inline follow(i, to_term) {
    if :: term[i] < to_term -> term[i] = to_term; vote[i] = 0; know(i, 0) :: else fi;
    role[i] = follower; got[i] = 0; commit[i] = 0;
    k = 0;
    do :: k < NODES -> matched(i, k) = 0; k++ :: else -> break od
}

inline append(i, of_voters) {
    length[i]++;
    log_at(i, length[i]) = entry(term[i], of_voters);
    matched(i, i) = length[i];
    if :: of_voters > 0 -> voters[i] = of_voters; conf[i] = length[i] :: else fi
}

/* Drops what node i has behind `last`: nothing that a leader of its term or an earlier one has committed. */
inline truncate(i, last) {
    do
    :: length[i] > last ->
        assert(!is_committed(i, length[i]));
        log_at(i, length[i]) = 0; length[i]--
    :: else -> break
    od
}

/* --- elections --- */

#define may_lead(i) (lives(i) && role[i] == candidate && is_quorum(got[i], voters[i]))

inline lead(i) {
#ifndef LOSS
    assert(!elected[term[i]]); /* one leader a term: paper section 5.2 */
#endif
    elected[term[i]] = 1;
    k = 1;
    do
    :: k <= ENTRIES ->
        assert(!lacks(i, k)); /* leader completeness: section 5.4 */
        k++
    :: else -> break
    od;
    role[i] = leader; got[i] = 0; matched(i, i) = length[i]; know(i, i + 1);
    if :: length[i] < ENTRIES -> append(i, 0) :: else fi /* its no-op */
}

#if defined(GENERATIONS) && !defined(BROKEN_OLD_CONFIGURATION)
#define is_of_generation(i, n) (!generation[i] || term_of(log_at(i, n)) >= founded) /* who rejoins has those of the old one first */
#else
#define is_of_generation(i, n) 1
#endif
#define voter_by(i, n) ((n) <= ENTRIES && has(voters_of(log_at(i, n)), i) && is_of_generation(i, n))
#ifdef TRACE
#define electable(i) has(voters[i], i)
#else
#define electable(i) (voter_by(i, 1) || voter_by(i, 2) || voter_by(i, 3) || (ENTRIES > 3 && voter_by(i, 4)) || (ENTRIES > 4 && voter_by(i, 5)))
#endif
/* All nodes begin alike: the first who campaigns may as well be the first. */
#define may_campaign(i) (lives(i) && term[i] < last_term(i) && electable(i) && ((i) == 0 || term[0] > 1 || (VOTERS & 1) == 0))

inline campaign(i) {
    follow(i, term[i] + 1);
    role[i] = candidate; vote[i] = i + 1; got[i] = bit_of(i);
    then_lead(i)
}

#define up_to_date(i, j) (length[j] == 0 || last_of(i) > last_of(j) || (last_of(i) == last_of(j) && length[i] >= length[j]))
#ifdef BROKEN_DOUBLE_VOTE
#define free_to_vote(j, i) 1
#else
#define free_to_vote(j, i) (term[j] < term[i] || vote[j] == 0)
#endif
#define asks(i, j) (role[i] == candidate && (i) != (j) && has(voters[i], j) && !has(got[i], j))
#define may_vote(j, i) (asks(i, name_of(j)) && hears(j, i) && knows_cluster(j) && term[j] <= term[i] && free_to_vote(j, i) && up_to_date(i, j))

inline vote_for(j, i) {
    follow(j, term[i]);
    vote[j] = i + 1; got[i] = got[i] | bit_of(name_of(j));
    say2("vote n%d->n%d granted\n", j + 1, i + 1);
    then_lead(i)
}

/* TimeoutNow, from a leader who knows that j has all of its log; without it a node may campaign, too. */
#define may_transfer(j, i) (role[i] == leader && (i) != (j) && hears(j, i) && term[j] == term[i] && has(voters[i], j) && matched(i, j) == length[i] && is_led(j, i) && may_campaign(j))

inline transfer(j) {
    campaign(j);
#ifdef BROKEN_TIMEOUT_NOW_LEADS
    lead(j)
#endif
}

/* What a message tells that changes nothing but the term; in a trace a request for a vote that is refused for the log. */
#ifdef TRACE
#define may_learn(j, i) (asks(i, j) && term[j] < term[i] && !up_to_date(i, j))
#else
#define may_learn(j, i) ((i) != (j) && hears(j, i) && length[j] > 0 && term[j] < term[i])
#endif

/* --- replication --- */

#define reach(i, n) ((matched(i, 0) >= (n)) + 2 * (matched(i, 1) >= (n)) + 4 * (matched(i, 2) >= (n)) + (NODES > 3 -> 8 * (matched(i, NODES - 1) >= (n)) : 0))
#ifdef BROKEN_EARLIER_TERM
#define counts(i, n) 1
#else
#define counts(i, n) (term_of(log_at(i, n)) == term[i]) /* section 5.4.2 */
#endif
#define commits(i, n) (role[i] == leader && (n) > commit[i] && (n) <= length[i] && counts(i, n) && is_quorum(reach(i, n), voters[i]))
#define may_commit(i) (lives(i) && (commits(i, 2) || commits(i, 3) || (ENTRIES > 3 && commits(i, 4)) || (ENTRIES > 4 && commits(i, 5))))

inline note_committed(i, n) {
    if
    :: committed[place(i, n)] == 0 || committed_in[place(i, n)] > term[i] -> committed[place(i, n)] = log_at(i, n); committed_in[place(i, n)] = term[i]
    :: else
    fi
}

inline commit_all(i) {
    set = length[i];
    do :: set > commit[i] && !commits(i, set) -> set-- :: else -> break od;
    commit[i] = set;
    do
    :: set > 0 ->
        assert(committed[place(i, set)] == 0 || committed[place(i, set)] == log_at(i, set)); /* state machine safety: section 5.4.3 */
        note_committed(i, set);
        set--
    :: else -> break
    od;
    if :: commit[i] >= conf[i] && !has(voters[i], i) -> follow(i, term[i]); know(i, 0) :: else fi /* thesis 4.2.2 */
}

/* The last entry of node j that the leader i has, too, as the consistency check tells: by index and term. */
inline find_common(i, j) {
    k = (length[i] < length[j] -> length[i] : length[j]);
    do :: k > 0 && term_of(log_at(i, k)) != term_of(log_at(j, k)) -> k-- :: else -> break od
}

#define may_take(j, i) (role[i] == leader && (i) != (j) && hears(j, i) && term[j] <= term[i] && (matched(i, name_of(j)) < length[i] || length[j] < length[i]))

/* Node j takes the leader's next entry, and acknowledges all up to there. */
inline take(j, i) {
    follow(j, term[i]);
    know(j, i + 1);
    find_common(i, j);
    if
    :: k < length[i] ->
        truncate(j, k);
        do
        :: length[j]++; log_at(j, length[j]) = log_at(i, length[j]);
            if :: takes_all && length[j] < length[i] :: else -> break fi
        od;
#ifdef BROKEN_NOT_TAKEN_BACK
        if :: voters_of(log_at(j, length[j])) > 0 -> adopt_configuration(j) :: else fi;
#else
        adopt_configuration(j);
#endif
        matched(i, name_of(j)) = length[j]
    :: else -> matched(i, name_of(j)) = k
    fi;
    say2("entries n%d->n%d\n", i + 1, j + 1);
    then_commit(i)
}

#define may_propose(i) (lives(i) && role[i] == leader && length[i] < ENTRIES)

/* --- members: one voter at a time, after the no-op, and after the change before --- */

#ifdef BROKEN_BEFORE_NO_OP
#define is_established(i) 1
#define is_settled(i) (committed[place(i, conf[i])] == log_at(i, conf[i]))
#else
#define is_established(i) (commit[i] > 0)
#ifdef BROKEN_CHANGE_PENDING
#define is_settled(i) 1
#else
#define is_settled(i) (conf[i] <= commit[i])
#endif
#endif
#if defined(GENERATIONS)
#define may_change(i) (may_propose(i) && generation[i] && is_established(i) && is_settled(i))
#elif defined(MEMBERS) || defined(WIPES)
#define may_change(i) (may_propose(i) && is_established(i) && is_settled(i))
#else
#define may_change(i) 0
#endif

inline one_more_or_less() {
    if :: set = set ^ 1 :: set = set ^ 2 :: set = set ^ 4 :: NODES > 3 -> set = set ^ 8 fi
}

inline change(i) {
    set = voters[i];
    one_more_or_less();
#ifdef BROKEN_TWO_VOTERS
    one_more_or_less();
#endif
    if
    :: ones(set) > takes_all -> /* in a trace two at least */
        say2("change n%d voters %d\n", i + 1, set);
        append(i, set)
    :: else
    fi;
    then_commit(i)
}

/* --- what happens to disks --- */

inline forget(i) {
    follow(i, 0);
    term[i] = 0; vote[i] = 0;
    do :: length[i] > 0 -> log_at(i, length[i]) = 0; length[i]-- :: else -> break od;
    voters[i] = 0; conf[i] = 0
}

#ifdef WIPES
#define may_wipe(i) (wiped == 0 && (i) != spare)

inline wipe(i) {
    forget(i);
    wiped = i + 1
}
#endif

#ifdef GENERATIONS
#define may_promote(i) (founded == 0 && length[i] < ENTRIES)

inline promote(i) {
    follow(i, term[i] + GAP);
    generation[i] = 1; founded = term[i];
    append(i, bit_of(i));
    matched(i, i) = 0;
    k = length[i];
    do :: k > 0 -> note_committed(i, k); k-- :: else -> break od
}

#define may_rejoin(i, j) (founded > 0 && !generation[i] && generation[j] && length[j] > 0)

/* Node i compares its log with that of node j, of the new generation, and keeps apart what is behind the last common entry. */
inline rejoin(i, j) {
    find_common(i, j);
    do
    :: k > 0 -> assert(log_at(i, k) == log_at(j, k)); k-- /* what is kept apart is all that only this node has */
    :: else -> break
    od;
    forget(i);
    generation[i] = 1
}
#endif

inline set_up() {
    me = 0;
    do
    :: me < NODES ->
        log_at(me, 1) = entry(1, VOTERS); voters[me] = VOTERS; conf[me] = 1;
        me++
    :: else -> break
    od;
    committed[0] = entry(1, VOTERS); committed_in[0] = 1;
    me = 0;
#ifdef LED
    role[0] = leader; elected[2] = 1; commit[0] = 2; committed[1] = entry(2, 0); committed_in[1] = 2;
    do
    :: me < NODES -> term[me] = 2; vote[me] = 1; length[me] = 2; log_at(me, 2) = entry(2, 0); matched(0, me) = 2; me++
    :: else -> break
    od;
    me = 0;
#endif
#ifdef WIPES
    forget(spare)
#endif
}

#if NODES > 3
#define one_of(may) if :: may(0) -> me = 0 :: may(1) -> me = 1 :: may(2) -> me = 2 :: may(3) -> me = 3 fi
#define a_fourth(may) \
    :: may(0, 3) -> me = 0; from = 3 :: may(1, 3) -> me = 1; from = 3 :: may(2, 3) -> me = 2; from = 3 \
    :: may(3, 0) -> me = 3; from = 0 :: may(3, 1) -> me = 3; from = 1 :: may(3, 2) -> me = 3; from = 2
#else
#define one_of(may) if :: may(0) -> me = 0 :: may(1) -> me = 1 :: may(2) -> me = 2 fi
#define a_fourth(may)
#endif
#define two_of(may) \
    if \
    :: may(0, 1) -> me = 0; from = 1 :: may(0, 2) -> me = 0; from = 2 :: may(1, 0) -> me = 1; from = 0 \
    :: may(1, 2) -> me = 1; from = 2 :: may(2, 0) -> me = 2; from = 0 :: may(2, 1) -> me = 2; from = 1 \
    a_fourth(may) \
    fi

inline end_step() {
    k = 0; set = 0;
    tell_all()
}

active proctype World() {
    atomic { set_up(); end_step() }
end:
    do
    :: atomic { one_of(may_campaign); say1("campaign n%d\n", me + 1); campaign(me); end_step() }
    :: atomic { two_of(may_vote); vote_for(me, from); end_step() }
    :: atomic { two_of(may_learn); say2("vote n%d->n%d refused\n", me + 1, from + 1); follow(me, term[from]); end_step() }
    :: atomic { one_of(may_lead); lead(me); end_step() }
#if defined(TRACE) || defined(BROKEN_TIMEOUT_NOW_LEADS)
    :: atomic { two_of(may_transfer); say2("transfer n%d->n%d\n", from + 1, me + 1); transfer(me); end_step() }
#endif
    :: atomic { two_of(may_take); take(me, from); end_step() }
    :: atomic { one_of(may_commit); commit_all(me); end_step() }
    :: atomic { one_of(may_propose); say1("propose n%d\n", me + 1); append(me, 0); end_step() }
#if defined(MEMBERS) || defined(WIPES) || defined(GENERATIONS)
    :: atomic { one_of(may_change); change(me); end_step() }
#endif
#ifdef WIPES
    :: atomic { one_of(may_wipe); wipe(me); end_step() }
#endif
#ifdef GENERATIONS
    :: atomic { one_of(may_promote); promote(me); end_step() }
    :: atomic { two_of(may_rejoin); rejoin(me, from); end_step() }
#endif
#ifdef TRACE
    /* Again, so that more of this happens in a trace. */
    :: atomic { two_of(may_vote); vote_for(me, from); end_step() }
    :: atomic { two_of(may_take); take(me, from); end_step() }
    :: atomic { two_of(may_take); take(me, from); end_step() }
    :: atomic { one_of(may_change); change(me); end_step() }
    :: atomic { crashes < 5; one_of(lives); crashes++; say2("crash n%d\nrestart n%d\n", me + 1, me + 1); follow(me, term[me]); know(me, 0); end_step() }
#endif
    od
}
