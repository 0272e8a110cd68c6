using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>A disk in memory behind a socket, and a front-end that speaks as QEMU does.</summary>
public abstract class QemuFrontendTests : IDisposable
{
    private protected QemuFrontendTests(int pollers)
    {
        Disk = ServedDisk.InMemory(pollers: pollers);
        Qemu = new QemuFrontend(Frontend);
    }

    private protected ServedDisk Disk { get; }

    private protected ScriptedFrontend Frontend { get; } = new();

    private protected QemuFrontend Qemu { get; }

    public void Dispose()
    {
        Frontend.Dispose();
        Disk.Dispose();
        GC.SuppressFinalize(this);
    }
}
