module bench;
  logic       write_clk = 0;
  logic       read_clk = 0;
  logic       write_rst_n, write, full, read_rst_n, read, empty;
  logic [7:0] write_data, read_data;

  async_fifo dut (
    .write_clk(write_clk), .write_rst_n(write_rst_n), .write(write), .write_data(write_data), .full(full), .read_clk(read_clk),
    .read_rst_n(read_rst_n), .read(read), .read_data(read_data), .empty(empty)
  );

  int half_write = 10;
  int half_read = 13;
  always #(half_write) write_clk = ~write_clk;
  always #(half_read) read_clk = ~read_clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [7:0] words[0:65535];
  int         entered, left;
  int         write_idle;  // rising edges of write_clk since a byte left
  int         read_idle;   // rising edges of read_clk since a byte entered
  int         put_chance, take_chance;
  logic       active;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  // inputs change at falling edges; flags of a side change at its rising edges only
  always @(negedge write_clk) begin
    if (active) begin
      if (entered - left == 8) check("full with eight bytes", full, 1);
      if (full !== 1'b0 && entered - left < 8 && write_idle >= 4) check("full with fewer than eight bytes", full, 0);
      write = int'(random() % 16) < put_chance;
      write_data = 8'(random());
    end
  end

  always @(posedge write_clk) begin
    if (active) begin
      write_idle++;
      if (write && full === 1'b0) begin
        words[entered] = write_data;
        entered++;
        read_idle = 0;
      end
    end
  end

  always @(negedge read_clk) begin
    if (active) begin
      if (entered == left) check("empty without bytes", empty, 1);
      else if (empty === 1'b0) check("read_data", read_data, words[left]);
      else if (read_idle >= 4) check("empty with bytes", empty, 0);
      read = int'(random() % 16) < take_chance;
    end
  end

  always @(posedge read_clk) begin
    if (active) begin
      read_idle++;
      if (read && empty === 1'b0) begin
        left++;
        write_idle = 0;
      end
    end
  end

  task automatic reset;
    active = 0;
    write = 0;
    read = 0;
    #1;
    write_rst_n = 0;
    read_rst_n = 0;
    #1;
    check("full in reset", full, 0);
    check("empty in reset", empty, 1);
    entered = 0;
    left = 0;
    write_idle = 0;
    read_idle = 0;
    #100;
    write_rst_n = 1;
    read_rst_n = 1;
    #1 active = 1;
  endtask

  task automatic traffic(input int put, input int take, input int cycles);
    put_chance = put;
    take_chance = take;
    repeat (cycles) @(negedge write_clk);
  endtask

  initial begin
    put_chance = 0;
    take_chance = 0;
    write_rst_n = 1;
    read_rst_n = 1;
    write_data = 0;
    #5;
    for (int ratio = 0; ratio < 6; ratio++) begin
      // the halves are even and odd, so that edges of the two clocks rarely coincide
      half_write = 10 + 20 * (ratio % 3);
      half_read = 13 + 18 * (ratio / 2);
      reset();
      traffic(16, 0, 20);
      check("bytes that entered without a read", entered, 8);
      traffic(0, 16, 100);
      check("bytes that left", left, 8);
      traffic(16, 16, 200);
      traffic(16, 4, 200);
      traffic(3, 16, 200);
      traffic(8, 8, 400);
      traffic(0, 16, 150);
      check("bytes that left in the end", left, entered);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
