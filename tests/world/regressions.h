// Seeds that broke something once, and their virtual seconds. A seed stays, though another version draws another run from
// it.
{566, 10},            // a wiped voter's vote counts at a member that does not know its directory
    {1597, 10},       // two wiped founders found the cluster once more
    {4250, 10},       // a channel whose server has gone away
    {207861342, 20},  // a short write before a crash
