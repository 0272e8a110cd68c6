using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// Serves one connection on its own thread until it closes: a processor of a new or existing partition, or an observer.
/// </summary>
internal sealed class ConnectionThread(PartitionTable partitions, TimeSpan responseTimeout, ILogger log)
{
    internal void Start(UnixConnection connection, Action closed)
    {
        var thread = new Thread(() =>
        {
            using var channel = new ProcessorChannel(connection);
            try
            {
                Serve(channel);
            }
            catch (Exception e)
            {
                log.Refused(e.Message);
            }
            finally
            {
                closed();
            }
        })
        { IsBackground = true, Name = "connection" };
        try
        {
            SystemThread.Start(thread);
        }
        catch (IOException e)
        {
            log.Refused(e.Message);
            connection.Dispose();
            closed();
        }
    }

    private void Serve(ProcessorChannel channel)
    {
        if (!channel.TryReceiveHello(out var hello, responseTimeout)) return;
        switch (hello.Kind)
        {
            case HelloKind.NewPartition:
                RunNewPartition(channel, hello);
                break;
            case HelloKind.FurtherProcessor:
                RunFurtherProcessor(channel, hello);
                break;
            case HelloKind.Observer:
                channel.Accept(default);
                while (channel.TryReceiveQuery()) channel.SendStatistics(partitions.Statistics());
                break;
            default:
                Refuse(channel, $"connection kind {(uint)hello.Kind} is unknown");
                break;
        }
    }

    private void RunNewPartition(ProcessorChannel channel, in Hello hello)
    {
        Partition partition;
        try
        {
            partition = partitions.Create(hello);
        }
        catch (IOException e)
        {
            Refuse(channel, e.Message);
            return;
        }
        var processor = new ProcessorThread(partition, 0, channel, log);
        try
        {
            if (partition.TryAttach(processor) is { } why)
            {
                Refuse(channel, why);
                return;
            }
            channel.Accept(partition.Welcome, partition.MemoryFile, partition.ReserveFile, partition.Snapshot.ForReading);
            processor.Run();
        }
        finally
        {
            partition.Stop("its guest closed the connection");
            partitions.Remove(partition);
        }
    }

    private void RunFurtherProcessor(ProcessorChannel channel, in Hello hello)
    {
        if (partitions.Find(hello.PartitionId, hello.Key) is not { } partition)
        {
            Refuse(channel, $"there is no partition {hello.PartitionId} with this key");
            return;
        }
        var processor = new ProcessorThread(partition, (int)Math.Min(hello.Index, int.MaxValue), channel, log);
        if (partition.TryAttach(processor) is { } why)
        {
            Refuse(channel, why);
            return;
        }
        try
        {
            channel.Accept(new Welcome { PartitionId = hello.PartitionId });
            processor.Run();
        }
        finally
        {
            partition.Detach(processor);
        }
    }

    private void Refuse(ProcessorChannel channel, string why)
    {
        log.Refused(why);
        channel.Refuse(why);
    }
}
