using System.Runtime.InteropServices;
using System.Security.Cryptography;
using VmShunt.Ring.Serving;

// A virtio entropy source for QEMU. See README.md.
if (args.Length != 1)
{
    Console.Error.WriteLine("usage: EntropyDevice SOCKET");
    return 1;
}
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
await using var server = new VhostUserServer(static () => new Entropy());
server.Reported += static (_, report) => Console.Error.WriteLine(report);
server.Listen(args[0]);
Console.WriteLine($"ready vhost-user={args[0]}");
await server.RunAsync(stop.Token);
return 0;

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

/// <summary>Fills the guest's buffers with random bytes (virtio 1.3 §5.4).</summary>
internal sealed class Entropy : VirtioDevice
{
    // A guest must not keep the thread with a buffer of gigabytes; a device may fill less than the whole (§5.4.6).
    private const int MaxBytes = 64 << 10;

    public override VirtioDeviceType Type => VirtioDeviceType.Entropy;

    // It keeps nothing that its guest would miss elsewhere.
    public override bool IsMigratable => true;

    public override void Serve(Virtqueue queue)
    {
        while (queue.TryTake(out var chain))
        {
            var written = 0;
            foreach (var piece in chain.Writable)
            {
                var part = piece[..Math.Min(piece.Length, MaxBytes - written)];
                RandomNumberGenerator.Fill(part);
                written += part.Length;
            }
            queue.Return(chain, written);
        }
    }
}
