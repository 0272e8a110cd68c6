using System.Runtime.InteropServices;

namespace VmShunt.Perf.Launch;

/// <summary>Sends signals; the API of .NET can send SIGKILL only.</summary>
internal static class Signal
{
    internal const int HangUp = 1, Interrupt = 2, Kill = 9, User1 = 10, User2 = 12, Terminate = 15, Continue = 18, Stop = 19;

    [DllImport("libc", EntryPoint = "kill")]
    internal static extern int Send(int processId, int signal);

    internal static void RequestEnd(int processId) => _ = Send(processId, Terminate);
}
