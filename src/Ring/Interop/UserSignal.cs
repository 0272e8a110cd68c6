using System.Runtime.InteropServices;

namespace VmShunt.Ring.Interop;

/// <summary>The signals that the system leaves to programs (signal(7)), and what they mean to ours. .NET takes them by number.</summary>
public static class UserSignal
{
    /// <summary>SIGUSR1: the bus is no longer offered.</summary>
    public const PosixSignal Withdraw = (PosixSignal)10;

    /// <summary>SIGUSR2: the bus is offered again.</summary>
    public const PosixSignal Offer = (PosixSignal)12;
}
