module bench;
  logic       clk = 0;
  logic       rst, start, busy, done, cs_n, sclk, mosi, miso;
  logic [7:0] tx_data, rx_data;

  spi_controller dut (
    .clk(clk), .rst(rst), .start(start), .tx_data(tx_data), .busy(busy), .done(done), .rx_data(rx_data), .cs_n(cs_n),
    .sclk(sclk), .mosi(mosi), .miso(miso)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [7:0] latest;
  logic       known;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic rest(input int cycles);
    repeat (cycles) begin
      start = 0;
      miso = 1'(random());
      tx_data = 8'(random());
      @(negedge clk);
      check("busy at rest", busy, 0);
      check("done at rest", done, 0);
      check("cs_n at rest", cs_n, 1);
      check("sclk at rest", sclk, 0);
      if (known) check("rx_data at rest", rx_data, latest);
    end
  endtask

  // edges 0 to last; miso has the received bit only where it is read
  task automatic transfer(input logic [7:0] out, input logic [7:0] back, input int last);
    for (int i = 0; i <= last; i++) begin
      start = i == 0 || random() % 2 == 0;
      tx_data = i == 0 ? out : 8'(random());
      miso = i % 4 == 2 && i < 32 ? 1'(back >> (7 - i / 4)) : 1'(random());
      if (i == 34) begin
        latest = back;
        known = 1;
      end
      @(negedge clk);
      check("busy", busy, i < 34);
      check("done", done, i == 34);
      check("cs_n", cs_n, i == 34);
      check("sclk", sclk, i >= 2 && i < 32 && i % 4 >= 2);
      if (i < 32) check("mosi", mosi, 1'(out >> (7 - i / 4)));
      if (known) check("rx_data", rx_data, latest);
    end
    start = 0;
  endtask

  task automatic reset;
    rst = 1;
    start = 1;
    @(negedge clk);
    check("busy in reset", busy, 0);
    check("done in reset", done, 0);
    check("cs_n in reset", cs_n, 1);
    check("sclk in reset", sclk, 0);
    rst = 0;
    known = 0;
  endtask

  initial begin
    known = 0;
    {start, tx_data, miso} = '0;
    rst = 1;
    @(negedge clk);
    reset();
    rest(3);
    transfer(8'h80, 8'h01, 34);
    transfer(8'h01, 8'h80, 34);
    rest(2);
    transfer(8'ha5, 8'h3c, 34);
    transfer(8'hff, 8'h00, 34);
    transfer(8'h00, 8'hff, 34);
    transfer(8'h12, 8'h34, 15);
    reset();
    rest(60);
    transfer(8'h12, 8'h34, 2);
    reset();
    repeat (100) begin
      transfer(8'(random()), 8'(random()), 34);
      rest(int'(random() % 4));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
