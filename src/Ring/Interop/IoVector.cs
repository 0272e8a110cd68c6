using System.Runtime.InteropServices;

namespace VmShunt.Ring.Interop;

/// <summary>One piece of memory for vectored I/O (<c>struct iovec</c>).</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct IoVector(nint address, nuint length)
{
    internal readonly nint Address = address;
    internal readonly nuint Length = length;
}
